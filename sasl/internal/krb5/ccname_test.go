package krb5

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadCCache(t *testing.T) {
	dir := t.TempDir()
	alice := write(t, filepath.Join(dir, "alice:cc"), string(testdata(t, "v4.ccache")))
	empty := write(t, filepath.Join(dir, "empty"), "")
	text := write(t, filepath.Join(dir, "text"), "password\n")
	cut := write(t, filepath.Join(dir, "cut"), string(testdata(t, "v4.ccache")[:500]))
	large := write(t, filepath.Join(dir, "large"), "")
	if err := os.Truncate(large, ccacheLimit+1); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, client string
		want         string // the principal, or the error
		kind         Kind
	}{
		{alice, "", "alice@IMCLIENT.TEST", 0},
		{"FILE:" + alice, "", "alice@IMCLIENT.TEST", 0},
		{"FILE:" + alice, "alice@IMCLIENT.TEST", "alice@IMCLIENT.TEST", 0},
		{"FILE:" + alice, "carol@IMCLIENT.TEST", "has tickets of alice@IMCLIENT.TEST, none of carol@IMCLIENT.TEST", NoCredentials},
		{"FILE:" + dir + "/none", "", "there is no credential cache", NoCredentials},
		{"FILE:" + empty, "", "is empty", NoCredentials},
		{"FILE:" + text, "", "it begins with 0x7061", BadFile},
		{"FILE:" + cut, "", "damaged: the file is cut short at byte", BadFile},
		{"FILE:" + large, "", "larger than 16777216 bytes", BadFile},
		{"FILE:" + dir, "", "not a regular file", BadFile},
		{"KEYRING:persistent:0", "", "of the kind KEYRING: cannot be read here, only FILE: and DIR:", NoCredentials},
		{"KCM:", "", "KRB5CCNAME=FILE:/path", NoCredentials},
		{"MEMORY:x", "", "MEMORY: cannot", NoCredentials},
		{"API:x", "", "API: cannot", NoCredentials},
		{"DIR:testdata/collection", "", "bob@IMCLIENT.TEST", 0},
		{"DIR:testdata/collection", "bob@IMCLIENT.TEST", "bob@IMCLIENT.TEST", 0},
		{"DIR:testdata/collection", "alice@IMCLIENT.TEST", "alice@IMCLIENT.TEST", 0},
		{"DIR:testdata/collection", "carol@IMCLIENT.TEST", "no cache of the directory has tickets of carol@IMCLIENT.TEST", NoCredentials},
		{"DIR::testdata/collection/tkt", "", "alice@IMCLIENT.TEST", 0},
		{"DIR::testdata/collection/tkt", "bob@IMCLIENT.TEST", "none of bob@", NoCredentials},
		{"DIR::testdata/collection/primary", "", "its name begins with tkt", BadFile},
		{"DIR::tkt", "", "a file in a directory", BadFile},
		{"DIR:testdata/none", "", "no such directory", NoCredentials},
		{"DIR:" + alice, "", "not a directory", BadFile},
	} {
		name := Setting{tc.name, "KRB5CCNAME"}
		var client Principal
		if tc.client != "" {
			client = parsed(t, tc.client)
		}
		c, err := LoadCCache(name, client)
		if tc.kind == 0 {
			if err != nil || c.Principal.String() != tc.want {
				t.Errorf("%s for %q is read\n got: %v", tc.name, tc.client, err)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Kind != tc.kind || !strings.Contains(err.Error(), tc.want) ||
			!strings.Contains(e.Look, tc.name) || !strings.HasSuffix(e.Look, "(KRB5CCNAME)") {
			t.Errorf("%s for %q: an error of kind %v that says %q and where\n got: %v", tc.name, tc.client, tc.kind, tc.want, err)
		}
	}
}

// Files of a collection: which is primary can be wrong, or said in a file that is.
func TestLoadCCacheDir(t *testing.T) {
	alice, bob := string(testdata(t, "collection/tkt")), string(testdata(t, "collection/tktbob"))
	for _, tc := range []struct {
		name   string
		files  map[string]string
		client string
		want   string
	}{
		{"no file says which is primary", map[string]string{"tkt": alice, "tktb": bob}, "", "alice@IMCLIENT.TEST"},
		{"primary is not there", map[string]string{"primary": "tktx\n", "tkt": alice}, "", "there is no credential cache"},
		{"primary is not there, and not asked for", map[string]string{"primary": "tktx\n", "tkt": alice}, "alice@IMCLIENT.TEST", "alice@IMCLIENT.TEST"},
		{"primary is damaged, and not asked for", map[string]string{"primary": "tktx", "tktx": "x", "tkt": alice}, "alice@IMCLIENT.TEST", "alice@IMCLIENT.TEST"},
		{"primary is damaged, and may be who is asked for", map[string]string{"primary": "tktx", "tktx": "x", "tkt": alice}, "bob@IMCLIENT.TEST", "cut short"},
		{"others are damaged", map[string]string{"primary": "tkta", "tkta": alice, "tktb": "\x05\x04", "tktc": "", "tktd": bob}, "bob@IMCLIENT.TEST", "bob@IMCLIENT.TEST"},
		{"primary elsewhere", map[string]string{"primary": "tkt/../../x\n"}, "", "its first line is not the name of a cache"},
		{"primary is empty", map[string]string{"primary": ""}, "", "its first line is not the name of a cache"},
		{"primary is another file", map[string]string{"primary": "secret\n"}, "", "its first line is not the name of a cache"},
		{"nothing is there", map[string]string{"other": ""}, "", "there is no credential cache"},
	} {
		dir := t.TempDir()
		for name, text := range tc.files {
			write(t, filepath.Join(dir, name), text)
		}
		var client Principal
		if tc.client != "" {
			client = parsed(t, tc.client)
		}
		c, err := LoadCCache(Setting{"DIR:" + dir, "KRB5CCNAME"}, client)
		if err != nil {
			if strings.Contains(tc.want, "@") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s\n got: %v\nwant: %s", tc.name, err, tc.want)
			}
			continue
		}
		if c.Principal.String() != tc.want || !strings.HasPrefix(c.Name.Value, "DIR::"+dir+"/tkt") || c.Changed() {
			t.Errorf("%s\n got: %v of %v, changed: %t\nwant: %s", tc.name, c.Principal, c.Name, c.Changed(), tc.want)
		}
		write(t, filepath.Join(dir, "primary"), "tktsomebodyelse\n")
		if !c.Changed() {
			t.Errorf("%s: the collection has changed", tc.name)
		}
	}
}
