package launcher

import "testing"

// What people call secrets is found, by the names that they give them; what only
// speaks of secrets, or says where one is, is not.
func TestFindSecret(t *testing.T) {
	for text, line := range map[string]int{
		`password = "x"`:                             1,
		"a = 1\n[db]\n  passwd='x'":                  3,
		"a = 1\nDB_PASSWORD = \"hunter2\"\n":         2,
		`auth = { user = "me", token = "t0k" }`:      1,
		`"api-key" = "k"`:                            1,
		`apikey="k"`:                                 1,
		`openai.api_key = "sk-1"`:                    1,
		`secret_key_base64 = "eA=="`:                 1,
		"client_secret = \"\"\"\nlong\n\"\"\"":       1,
		`tokens = ["a", "b"]`:                        1,
		`authorization = "Bearer x"`:                 1,
		`url = "postgres://me:hunter2@db/x"`:         1,
		`url = "redis://:hunter2@db"`:                1,
		"k = '''\n-----BEGIN RSA PRIVATE KEY-----\n": 2,

		"":                                  0,
		`name = "alice"`:                    0,
		"max_tokens = 4096":                 0,
		"token_limit = 100":                 0,
		`tokenizer = "gpt"`:                 0,
		`password = ""`:                     0,
		"password = ''":                     0,
		`password_file = "/run/secrets/db"`: 0,
		`token_env = "API_TOKEN"`:           0,
		`token_url = "https://example.com/token"`: 0,
		"use_token = true":                        0,
		"[secrets]":                               0,
		`url = "http://example.com:80/a@b"`:       0,
		"-----BEGIN PUBLIC KEY-----":              0,
		"key = \"k\"":                             0,
	} {
		if got, what := findSecret(text); got != line || (what == "") != (line == 0) {
			t.Errorf("findSecret(%q) = %d, %q; want line %d", text, got, what, line)
		}
	}
}
