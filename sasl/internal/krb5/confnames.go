package krb5

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// CCache returns which credential cache to read: the one that the program has set, else
// that of KRB5CCNAME, of default_ccache_name, or MIT's default, FILE:/tmp/krb5cc_ and
// the user's number.
func (c *Config) CCache(explicit string) Setting {
	if s, ok := c.named(explicit, "KRB5CCNAME", c.ccache); ok {
		return s
	}
	return Setting{"FILE:/tmp/krb5cc_" + strconv.Itoa(os.Getuid()), "the default; KRB5CCNAME names another"}
}

// clientKeytabs is where MIT's library looks when it was built by Red Hat, by Debian,
// or from its source.
var clientKeytabs = [...]string{"/var/kerberos/krb5/user/", "/etc/krb5/user/", "/usr/local/var/krb5/user/"}

// ClientKeytab returns which keytab has the client's keys: the one that the program has
// set, else that of KRB5_CLIENT_KTNAME, of default_client_keytab_name, or MIT's default,
// which is client.keytab in a folder of the effective user's number; of the folders that
// systems have for it, the first where there is one.
func (c *Config) ClientKeytab(explicit string) Setting {
	if s, ok := c.named(explicit, "KRB5_CLIENT_KTNAME", c.keytab); ok {
		return s
	}
	const from = "the default; KRB5_CLIENT_KTNAME names another"
	name := strconv.Itoa(os.Geteuid()) + "/client.keytab"
	for _, folder := range clientKeytabs {
		if _, err := os.Stat(folder + name); err == nil {
			return Setting{"FILE:" + folder + name, from}
		}
	}
	return Setting{"FILE:" + clientKeytabs[0] + name, from}
}

func (c *Config) named(explicit, variable string, configured Setting) (s Setting, ok bool) {
	if explicit != "" {
		return Setting{explicit, byProgram}, true
	}
	if s := c.getenv(variable); s != "" {
		return Setting{s, variable}, true
	}
	return configured, configured.Value != ""
}

// expand reads a setting that may have parameters, as krb5.conf(5) has them under
// "Parameter expansion".
func (c *Config) expand(s *settings, name string) Setting {
	v := s.text(name, "")
	var b strings.Builder
	for rest := v.text; rest != ""; {
		before, token, ok := strings.Cut(rest, "%{")
		b.WriteString(before)
		if !ok {
			break
		}
		token, rest, ok = strings.Cut(token, "}")
		text, known := c.parameter(token)
		if !ok || !known {
			s.fail(BadFile, name, v, "%{"+token+"} is none of %{uid}, %{euid}, %{USERID}, %{username}, %{TEMP} and %{null}, or is not known here")
			return Setting{}
		}
		b.WriteString(text)
	}
	return Setting{b.String(), name + " in " + v.file}
}

func (c *Config) parameter(name string) (text string, known bool) {
	switch name {
	case "uid", "USERID":
		return strconv.Itoa(os.Getuid()), true
	case "euid":
		return strconv.Itoa(os.Geteuid()), true
	case "username":
		u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
		if err != nil {
			return "", false
		}
		return u.Username, true
	case "TEMP":
		if dir := c.getenv("TMPDIR"); dir != "" {
			return dir, true
		}
		return "/tmp", true
	case "null":
		return "", true
	}
	return "", false
}
