package krb5

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/config"
)

// configOf is the configuration that a file of this text makes.
func configOf(t testing.TB, text string) *Config {
	t.Helper()
	c, err := LoadConfig(write(t, filepath.Join(t.TempDir(), "krb5.conf"), text), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shown is the exported settings, one a line.
func shown(c *Config) string {
	return fmt.Sprintf("realm %q kdc %t txt %t skew %v sync %t life %v renew %v udp %d forward %t proxy %t canon %t tkt %v tgs %v permitted %v",
		c.DefaultRealm, c.DNSLookupKDC, c.DNSLookupRealm, c.ClockSkew, c.KDCTimesync, c.TicketLifetime, c.RenewLifetime, c.UDPPreferenceLimit,
		c.Forwardable, c.Proxiable, c.Canonicalize, c.TktEnctypes, c.TGSEnctypes, c.Permitted)
}

func TestConfigDefaults(t *testing.T) {
	const defaults = `realm "" kdc true txt false skew 5m0s sync true life 24h0m0s renew 0s udp 1465 forward false proxy false canon false tkt [18 17 20 19] tgs [18 17 20 19] permitted [18 17 20 19]`
	for _, tc := range []struct{ libdefaults, want string }{
		{"", defaults},
		{"default_realm = A\ndns_lookup_kdc = FALSE\ndns_lookup_realm = on\nclockskew = 60\nkdc_timesync = 0\nticket_lifetime = 1d\nrenew_lifetime = 7d 1h\nudp_preference_limit = 1\nforwardable = t\nproxiable = 1\ncanonicalize = yes\nallow_weak_crypto = y\n",
			`realm "A" kdc false txt true skew 1m0s sync false life 24h0m0s renew 169h0m0s udp 1 forward true proxy true canon true tkt [18 17 20 19 23] tgs [18 17 20 19 23] permitted [18 17 20 19 23]`},
		{"default_realm = A\ndefault_realm = B\nudp_preference_limit = 99999\n", strings.NewReplacer(`realm ""`, `realm "A"`, "1465", "32700").Replace(defaults)},
		{"dns_fallback = no\n", strings.Replace(defaults, "kdc true", "kdc false", 1)},
		{"dns_fallback = yes\ndns_lookup_kdc = no\n", strings.Replace(defaults, "kdc true txt false", "kdc false txt true", 1)},
		{"permitted_enctypes = aes128-sha2 rc4\ndefault_tgs_enctypes = aes256-sha2\n", strings.Replace(defaults, "tkt [18 17 20 19] tgs [18 17 20 19] permitted [18 17 20 19]", "tkt [19 23] tgs [20] permitted [19 23]", 1)},
		{"allow_rc4 = true\n", strings.ReplaceAll(defaults, "19]", "19 23]")},
		{"allow_weak_crypto = true\nallow_rc4 = false\n", defaults},
	} {
		if got := shown(configOf(t, "[libdefaults]\n"+tc.libdefaults)); got != tc.want {
			t.Errorf("%s\n got: %s\nwant: %s", tc.libdefaults, got, tc.want)
		}
	}
}

func TestConfigFaults(t *testing.T) {
	for _, tc := range []struct {
		setting, want string
		kind          Kind
	}{
		{"dns_lookup_kdc = maybe", "dns_lookup_kdc = maybe: neither true nor false", BadFile},
		{"clockskew = soon", "clockskew = soon: not a duration", BadFile},
		{"ticket_lifetime = -1", "not a duration", BadFile},
		{"udp_preference_limit = 1k", "not a number", BadFile},
		{"udp_preference_limit = -1", "not a number", BadFile},
		{"permitted_enctypes = camellia des-cbc-crc", "none of these encryption types", EncType},
		{"default_tgs_enctypes = aes -aes", "none of these encryption types", EncType},
		{"default_ccache_name = FILE:/tmp/%{nonsense}", "%{nonsense} is none of", BadFile},
		{"default_ccache_name = FILE:/tmp/%{uid", "%{uid} is none of", BadFile},
		{"default_client_keytab_name = %{LIBDIR}/x", "%{LIBDIR} is none of", BadFile},
	} {
		path := write(t, filepath.Join(t.TempDir(), "krb5.conf"), "[libdefaults]\n\n"+tc.setting+"\n")
		_, err := LoadConfig(path, noEnv)
		var e *Error
		if !errors.As(err, &e) || e.Kind != tc.kind || e.Look != path+" line 3" || !strings.Contains(e.What, tc.want) {
			t.Errorf("%s: an error of kind %v that names file and line\n got: %v", tc.setting, tc.kind, err)
		}
	}
}

func TestConfigFiles(t *testing.T) {
	dir := t.TempDir()
	a := write(t, filepath.Join(dir, "a"), "[libdefaults]\ndefault_realm = A\n")
	b := write(t, filepath.Join(dir, "b"), "[libdefaults]\ndefault_realm = B\nclockskew = 1\n")
	none := filepath.Join(dir, "none")
	list := func(paths ...string) string { return strings.Join(paths, string(os.PathListSeparator)) }
	before := configByDefault
	defer func() { configByDefault = before }()
	for _, tc := range []struct {
		name, paths, env, byDefault string
		realm                       string // or the error
		skew                        time.Duration
		files                       int
	}{
		{"of the program", a, b, b, "A", 5 * time.Minute, 1},
		{"of the environment", "", a, b, "A", 5 * time.Minute, 1},
		{"by default", "", "", b, "B", time.Second, 1},
		{"none by default", "", "", none, "", 5 * time.Minute, 0},
		{"a list", list(none, a, b), "", "", "A", time.Second, 2},
		{"nothing at all, said so", "", os.DevNull, a, "", 5 * time.Minute, 1},
		{"none of the program's", none, a, a, "there is no such configuration; see " + none + " (set by the program)", 0, 0},
		{"none of the environment's", "", list(none, none), a, "there is no such configuration; see " + list(none, none) + " (KRB5_CONFIG)", 0, 0},
	} {
		configByDefault.Value = tc.byDefault
		c, err := LoadConfig(tc.paths, func(name string) string { return map[string]string{"KRB5_CONFIG": tc.env}[name] })
		if err != nil {
			if !strings.Contains(err.Error(), tc.realm) || tc.skew != 0 {
				t.Errorf("%s\n got: %v\nwant: %s", tc.name, err, tc.realm)
			}
			continue
		}
		if c.DefaultRealm != tc.realm || c.ClockSkew != tc.skew || len(c.Files) != tc.files {
			t.Errorf("%s\n got: %q, %v, %v\nwant: %q, %v, %d files", tc.name, c.DefaultRealm, c.ClockSkew, c.Files, tc.realm, tc.skew, tc.files)
		}
	}
}

// Any file or directory that is read from, or that was missing, shows a change.
func TestConfigChanged(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "conf.d")
	one := write(t, filepath.Join(sub, "one"), "[a]\n")
	main := write(t, filepath.Join(dir, "main"), "includedir "+sub+"\n")
	missing := filepath.Join(dir, "missing")
	for _, change := range []struct{ path, text string }{{missing, ""}, {one, "[a]\nx=1\n"}, {filepath.Join(sub, "two"), ""}, {main, "includedir " + sub + "\n\n"}} {
		c, err := LoadConfig(missing+string(os.PathListSeparator)+main, noEnv)
		if err != nil || c.Changed() {
			t.Fatalf("nothing has changed: %v", err)
		}
		before, _ := os.Stat(filepath.Dir(change.path))
		write(t, change.path, change.text)
		if after, _ := os.Stat(filepath.Dir(change.path)); change.path == filepath.Join(sub, "two") && after.ModTime().Equal(before.ModTime()) {
			os.Chtimes(sub, time.Now(), before.ModTime().Add(time.Second)) // a clock of coarse ticks
		}
		if !c.Changed() {
			t.Errorf("%s has changed", change.path)
		}
	}
}

func TestConfigNames(t *testing.T) {
	uid := strconv.Itoa(os.Getuid())
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	const text = "[libdefaults]\ndefault_ccache_name = FILE:%{TEMP}/%{username}/%{uid}-%{euid}-%{USERID}%{null}/cc\ndefault_client_keytab_name = /etc/%{uid}.keytab\n"
	set, bare := configOf(t, text), configOf(t, "")
	env := map[string]string{}
	for _, c := range []*Config{set, bare} {
		c.getenv = func(name string) string { return env[name] }
	}
	file := set.Files[0]
	for _, tc := range []struct {
		env  map[string]string
		got  func() Setting
		want string
	}{
		{nil, func() Setting { return set.CCache("") }, fmt.Sprintf("FILE:/tmp/%s/%s-%s-%s/cc (default_ccache_name in %s)", me.Username, uid, uid, uid, file)},
		{nil, func() Setting { return set.ClientKeytab("") }, fmt.Sprintf("/etc/%s.keytab (default_client_keytab_name in %s)", uid, file)},
		{map[string]string{"KRB5CCNAME": "KCM:%{uid}"}, func() Setting { return set.CCache("") }, "KCM:%{uid} (KRB5CCNAME)"},
		{map[string]string{"KRB5_CLIENT_KTNAME": "x"}, func() Setting { return set.ClientKeytab("") }, "x (KRB5_CLIENT_KTNAME)"},
		{map[string]string{"KRB5CCNAME": "x", "KRB5_CLIENT_KTNAME": "x"}, func() Setting { return set.CCache("mine") }, "mine (set by the program)"},
		{nil, func() Setting { return set.ClientKeytab("mine") }, "mine (set by the program)"},
		{nil, func() Setting { return bare.CCache("") }, "FILE:/tmp/krb5cc_" + uid + " (the default; KRB5CCNAME names another)"},
	} {
		env = tc.env
		if got := tc.got().String(); got != tc.want {
			t.Errorf("with %v\n got: %s\nwant: %s", tc.env, got, tc.want)
		}
	}
	if got := bare.ClientKeytab(""); !strings.HasSuffix(got.Value, "/"+uid+"/client.keytab") || !strings.Contains(got.From, "KRB5_CLIENT_KTNAME") {
		t.Errorf("the default keytab has the user's number\n got: %v", got)
	}
	env = map[string]string{"TMPDIR": "/var/tmp"}
	withTemp, err := LoadConfig(file, func(name string) string { return env[name] })
	if err != nil || !strings.HasPrefix(withTemp.CCache("").Value, "FILE:/var/tmp/") {
		t.Errorf("%%{TEMP} is TMPDIR\n got: %v", err)
	}
}

// gokrb5 understands the same of a site's file.
func TestConfigAsGokrb5(t *testing.T) {
	ours, err := LoadConfig("testdata/site.conf", noEnv)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := config.Load("testdata/site.conf")
	if err != nil {
		t.Fatal(err)
	}
	l := theirs.LibDefaults
	want := shown(&Config{
		DefaultRealm: l.DefaultRealm, DNSLookupKDC: l.DNSLookupKDC, DNSLookupRealm: l.DNSLookupRealm, ClockSkew: l.Clockskew, KDCTimesync: l.KDCTimeSync != 0,
		TicketLifetime: l.TicketLifetime, RenewLifetime: l.RenewLifetime, UDPPreferenceLimit: l.UDPPreferenceLimit, Forwardable: l.Forwardable, Proxiable: l.Proxiable,
		Canonicalize: l.Canonicalize, TktEnctypes: l.DefaultTktEnctypeIDs, TGSEnctypes: l.DefaultTGSEnctypeIDs, Permitted: l.PermittedEnctypeIDs,
	})
	if got := shown(ours); got != want {
		t.Errorf("the settings are gokrb5's\n got: %s\nwant: %s", got, want)
	}
	for _, r := range theirs.Realms {
		var kdcs []string
		for _, k := range ours.KDCs(r.Realm) {
			kdcs = append(kdcs, k.Addr)
		}
		if !slices.Equal(kdcs, r.KDC) || len(kdcs) == 0 {
			t.Errorf("the KDCs of %s\n got: %v\nwant: %v", r.Realm, kdcs, r.KDC)
		}
	}
	for _, host := range []string{"example.com", "mail.example.com", "a.b.example.com", "mail.other.org", "x.other.org"} {
		got, ok := ours.RealmOf(host)
		if want := theirs.ResolveRealm(host); got != want || !ok {
			t.Errorf("the realm of %s\n got: %s\nwant: %s", host, got, want)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(string(testdata(f, "site.conf")))
	f.Add("[libdefaults]*\nclockskew = 1d2h3m4s\ndefault_tkt_enctypes = DEFAULT -aes +rc4\ndefault_ccache_name = DIR:%{TEMP}/x\n[a]\nb*={\nx*=\"\\n\"\n}*\nc=\n{\n}\n")
	f.Add("[realms]\nA={\nkdc=[::1]:88\nkdc=tcp/x\n}\n[domain_realm]\n.a=A\n[capaths]\nA={\nB=.\nC=D\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, word := range []string{"include", "module"} {
			if strings.Contains(text, word) {
				return // other files are not the fuzzer's
			}
		}
		p := profile{}
		root := &section{}
		parser := profileParser{profile: &p, file: "fuzz", root: root}
		if err := parser.parse(text); err != nil {
			var e *syntaxError
			if !errors.As(err, &e) || e.line < 1 || e.line > strings.Count(text, "\n")+1 {
				t.Fatalf("an error names a line of the file: %v", err)
			}
			return
		}
		p.files = []*section{root}
		c := &Config{profile: p, getenv: noEnv}
		s := settings{profile: &c.profile}
		c.fill(&s)
		if s.err == nil && (len(c.TktEnctypes) == 0 || len(c.TGSEnctypes) == 0 || len(c.Permitted) == 0 || c.ClockSkew < 0 || c.TicketLifetime < 0 || c.RenewLifetime < 0) {
			t.Fatalf("what was taken makes sense: %s", shown(c))
		}
		c.RealmOf("a.b.c")
		for _, k := range c.KDCs("A") {
			if k.Addr == "" {
				t.Fatal("a KDC without an address")
			}
		}
		if path := c.Path("A.X", "B.X"); path[0] != "A.X" || path[len(path)-1] != "B.X" {
			t.Fatalf("a path has both ends: %q", path)
		}
	})
}
