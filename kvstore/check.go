package kvstore

import (
	"context"
	"fmt"
	"strings"

	"zombiezen.com/go/sqlite"
)

// maxFindings is how many of the engine's findings an error of Check quotes.
const maxFindings = 3

// Check reads the whole store and looks whether it is in order: every page,
// every row and every index entry. It is [ErrCorrupt] with the first findings
// when it is not; the store goes on. It runs beside procedures and Views, but
// keeps the log from starting over; in memory everything else waits for it. It
// ends early with ctx and with Close. Other errors are those of View.
func (s *Store) Check(ctx context.Context) error {
	var err error
	if s.path == "" {
		err = s.View(ctx, func(tx *ReadTx) error { return tx.c.check() })
	} else {
		err = s.beside(ctx, (*conn).check)
	}
	if err != nil {
		return fmt.Errorf("kvstore: check: %w", &barePrefix{err})
	}
	return nil
}

func (c *conn) check() error {
	var findings []string
	err := c.query("PRAGMA integrity_check(100)", func(s *sqlite.Stmt) {
		findings = append(findings, s.ColumnText(0))
	})
	if err != nil {
		return notFatal(err)
	}
	if len(findings) == 1 && findings[0] == "ok" {
		return nil
	}
	more := ""
	if len(findings) > maxFindings {
		more = fmt.Sprintf("; and %d more", len(findings)-maxFindings)
		findings = findings[:maxFindings]
	}
	return fmt.Errorf("%w: %s%s", ErrCorrupt, strings.Join(findings, "; "), more)
}
