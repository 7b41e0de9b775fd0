package stdtests

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

func TestNetHTTP(t *testing.T) {
	w := newWorld(t)
	w.take(w.tests("net/http", "http_test"), []string{"TestHostHandlers"}, "testdata/helpers.go")
	bin := w.compile("net/http")
	cwd := t.TempDir()
	w.check(os.CopyFS(filepath.Join(cwd, "testdata"), os.DirFS(filepath.Join(runtime.GOROOT(), "src/net/http/testdata"))))
	c := exec.Command(filepath.Join(bin, "http.test"), "-test.v", "-test.short", "-test.timeout=60s")
	c.Dir = cwd
	out, err := c.CombinedOutput()
	t.Logf("%s %v", out, err)
}
