package krb5

// placeholder signatures: see the commits that follow.

// LoadConfig reads the files of paths, a list parted by colons; "": those of
// KRB5_CONFIG, or /etc/krb5.conf.
func LoadConfig(paths string, getenv func(string) string) (*Config, error) { panic("next commit") }

func (c *Config) RealmOf(host string) (realm string, ok bool) { panic("next commit") }
func (c *Config) KDCs(realm string) []KDC                     { panic("next commit") }
func (c *Config) Path(from, to string) []string               { panic("next commit") }
func (c *Config) CCache(explicit string) Setting              { panic("next commit") }
func (c *Config) ClientKeytab(explicit string) Setting        { panic("next commit") }
func (c *Config) Changed() bool                               { panic("next commit") }
