package main_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	main "postern/cmd/postern"
)

// TestMain makes the test binary the program itself when it is told so.
func TestMain(m *testing.M) {
	if os.Getenv("POSTERN_TEST_RUN") != "" {
		main.Main()
		return
	}
	os.Unsetenv("POSTERN_TOKEN")
	m.Run()
}

// result is what a command left behind.
type result struct {
	status         int
	stdout, stderr string
}

func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := main.Run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}, {"serve", "-help"}, {"kv", "help"}, {"kv", "get", "--help"}} {
		got := run(t, "", args...)
		if got.status != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, "postern serves a key-value store over HTTP.\n") {
			t.Errorf("%q: %+v", args, got)
		}
		for _, flag := range []string{"--addr", "--unix", "--db", "--table", "--token", "--quiet", "--tls-cert", "--tls-key", "--tls-self-signed", "--create", "--ttl", "--format", "--json", "LISTEN_FDS", "SIGUSR2"} {
			if !strings.Contains(got.stdout, flag) {
				t.Errorf("%q does not mention %s", args, flag)
			}
		}
	}
}

func TestMisuse(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
	}{
		{"foo", `no command "foo"; there are: serve, kv, help`},
		{"kvs", `no command "kvs"; did you mean "kv"?`},
		{"sevre", `no command "sevre"; did you mean "serve"?`},
		{"halp", `no command "halp"; did you mean "help"?`},
		{"--adr :0", "serve: flag provided but not defined: -adr"},
		{"--addr", "serve: flag needs an argument: -addr"},
		{"--quiet 8080", `serve: argument "8080": there are only flags`},
		{"--tls-cert a.pem", "serve: --tls-cert FILE and --tls-key FILE are needed both"},
		{"--tls-key a.pem", "serve: --tls-cert FILE and --tls-key FILE are needed both"},
		{"--tls-self-signed --tls-key a.pem", "serve: --tls-self-signed makes a certificate, and --tls-cert and --tls-key bring one: choose"},
		{"kv", "kv: a command is missing: get, put, add, cas, del, ls, export, import, watch, stats, backup or check"},
		{"kv delete x --db f", `kv: no command "delete"; did you mean "del"?`},
		{"kv gte x --db f", `kv: no command "gte"; did you mean "get"?`},
		{"kv frobnicate --db f", `kv: no command "frobnicate"; there are: get, put, add, cas, del, ls, export, import, watch, stats, backup, check`},
		{"kv get x", "kv get: --db FILE is missing"},
		{"kv get --db f", "kv get: 0 operands: the form is postern kv get KEY --db FILE"},
		{"kv put a b c --db f", "kv put: 3 operands: the form is postern kv put KEY [VALUE|-] --db FILE"},
		{"kv ls a b --db f", "kv ls: 2 operands: the form is postern kv ls [PREFIX] --db FILE"},
		{"kv watch a b --db f", "kv watch: 2 operands: the form is postern kv watch [PREFIX] --db FILE"},
		{"kv watch --json --db f", "kv watch: takes no --json"},
		{"kv put k -5 --db f", "kv: flag provided but not defined: -5"},
		{"kv exprot --db f", `kv: no command "exprot"; did you mean "export"?`},
		{"kv cas k 7x v --db f", `kv cas: counter "7x" is no number`},
		{"kv cas k -- -7 v", `kv cas: counter "-7" is no number`},
		{"kv get k --create --db f", "kv get: takes no --create"},
		{"kv del k --ttl 5s --db f", "kv del: takes no --ttl"},
		{"kv stats --table t --db f", "kv stats: takes no --table"},
		{"kv put k v --ttl 5 --db f", `kv: invalid value "5" for flag -ttl: parse error`},
		{"kv put k v --ttl -5s --db f", "kv put: --ttl -5s: must be more than nothing"},
		{"kv export --format xml --db f", `kv export: --format "xml": must be ndjson or csv`},
	} {
		want := result{2, "", "postern: " + tt.want + "\nTry \"postern help\".\n"}
		if got := run(t, "", strings.Fields(tt.args)...); got != want {
			t.Errorf("postern %s:\n got %+v\nwant %+v", tt.args, got, want)
		}
	}
}
