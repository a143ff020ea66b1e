package krb5

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxSubsidiaries bounds how many caches of a directory are looked into.
const maxSubsidiaries = 1000

// LoadCCache reads the credential cache of a name as MIT has them: FILE:/path, a bare
// path, DIR:/directory or DIR::/directory/tktfile. Of a directory it takes the primary
// cache, or the one of client where client is not zero; any other cache must be
// client's.
//
// Errors are *Error: NoCredentials where there is no cache, none of client's, or one in
// a kind of store that we cannot read, else BadFile.
func LoadCCache(name Setting, client Principal) (*CCache, error) {
	kind, rest := splitName(name.Value)
	switch kind {
	case "FILE":
		return loadFile(name, rest, client)
	case "DIR":
		if file, ok := strings.CutPrefix(rest, ":"); ok {
			return loadSubsidiary(name, file, client)
		}
		return loadDir(name, rest, client)
	}
	return nil, &Error{
		What: "credential caches of the kind " + kind + ": cannot be read here, only FILE: and DIR: can; " +
			`with KRB5CCNAME=FILE:/path in the environment kinit makes one, and we find it`,
		Look: name.String(),
		Kind: NoCredentials,
	}
}

// splitName takes the kind off a cache's or a keytab's name. A path is a FILE:, with a
// drive's letter or a colon in it too.
func splitName(name string) (kind, rest string) {
	kind, rest, ok := strings.Cut(name, ":")
	if !ok || len(kind) < 2 || strings.ContainsAny(kind, `/\`) {
		return "FILE", name
	}
	return kind, rest
}

func loadFile(name Setting, path string, client Principal) (*CCache, error) {
	c, err := readCCache(name, path)
	if err != nil {
		return nil, err
	}
	if !client.IsZero() && !c.Principal.Equal(client) {
		return nil, &Error{
			What: "the credential cache has tickets of " + c.Principal.String() + ", none of " + client.String(),
			Look: name.String(),
			Kind: NoCredentials,
		}
	}
	return c, nil
}

func loadSubsidiary(name Setting, path string, client Principal) (*CCache, error) {
	if !strings.HasPrefix(filepath.Base(path), "tkt") || filepath.Dir(path) == "." {
		return nil, &Error{What: "DIR:: names a file in a directory, and its name begins with tkt", Look: name.String(), Kind: BadFile}
	}
	return loadFile(name, path, client)
}

// loadDir reads a collection: the file "primary" names the primary cache, "tkt" if
// there is no such file; each cache's name begins with "tkt".
func loadDir(name Setting, dir string, client Principal) (*CCache, error) {
	seen := stamps{stampOf(dir)}
	if seen[0].info == nil {
		return nil, &Error{What: "there is no such directory of credential caches; kinit makes it", Look: name.String(), Kind: NoCredentials}
	}
	primary, at, err := readPrimary(name, filepath.Join(dir, "primary"))
	if err != nil {
		return nil, err
	}
	seen = append(seen, at)
	c, err := loadFile(subsidiary(name, dir, primary), filepath.Join(dir, primary), client)
	if err != nil && !client.IsZero() {
		c, err = searchDir(name, dir, client, err)
	}
	if err != nil {
		return nil, err
	}
	c.stamps = append(seen, c.stamps...)
	return c, nil
}

func subsidiary(name Setting, dir, file string) Setting {
	return Setting{"DIR::" + filepath.Join(dir, file), name.From}
}

func readPrimary(name Setting, path string) (file string, at stamp, err error) {
	data, at, err := readFile(path, 1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return "tkt", at, nil
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	file = string(line)
	if err == nil && (!strings.HasPrefix(file, "tkt") || strings.ContainsAny(file, "/\\\x00")) {
		err = errors.New("its first line is not the name of a cache, which begins with tkt")
	}
	if err != nil {
		return "", at, &Error{What: path + " is damaged", Look: name.String(), Kind: BadFile, Err: err}
	}
	return file, at, nil
}

// searchDir looks for client's cache where the primary one is not, and returns first, its
// error, if there is none. Damaged ones are somebody else's.
func searchDir(name Setting, dir string, client Principal, first error) (*CCache, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, first
	}
	defer d.Close()
	files, _ := d.Readdirnames(maxSubsidiaries)
	for _, file := range files {
		if !strings.HasPrefix(file, "tkt") {
			continue
		}
		if c, err := loadFile(subsidiary(name, dir, file), filepath.Join(dir, file), client); err == nil {
			return c, nil
		}
	}
	var e *Error
	if errors.As(first, &e) && e.Kind == NoCredentials {
		return nil, &Error{What: "no cache of the directory has tickets of " + client.String(), Look: name.String(), Kind: NoCredentials}
	}
	return nil, first
}
