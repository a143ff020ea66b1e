package tlsup

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// maxFile bounds what is read of a file, in bytes: the bundles of all public CAs
	// have less than 1 MiB.
	maxFile = 16 << 20
	// dirInterval is how often a directory is looked at: its files may be hundreds.
	dirInterval = time.Second
	// tick is the coarsest time stamp of the file systems in use (FAT has 2 s, some
	// network file systems 1 s). A file that changed so shortly before it was read
	// can change once more and look the same.
	tick = 2 * time.Second
)

// A source is a value that is made of files, and made anew when they change. One
// that fails to be made anew stays what it was: a renewal that replaces two files
// passes through a moment at which they do not fit.
type source[T any] struct {
	files []string
	dir   string // "" or a directory all of whose files count
	parse func(docs []document) (value T, warnings []string, err error)

	value      T
	generation uint64 // of value; 0: there is none yet
	err        error  // why there is none

	looks    []look            // before the files were read last; nil: never
	digest   [sha256.Size]byte // of what was read
	doubtful bool              // the files may have changed without looking different
	looked   time.Time         // when dir was looked at
	users    int               // targets with this source
}

// A document is a file as it was read.
type document struct {
	path  string
	inDir bool // it was found in a directory, not named
	data  []byte
	err   *FileError
}

// A look is what stat(2) says of a path.
type look struct {
	path string
	info fs.FileInfo // nil: it said err
	err  error
}

// refresh makes the value anew if the files changed. The warnings are for a person;
// each comes once for a change.
func (s *source[T]) refresh(now time.Time) (warnings []string) {
	again := s.looks != nil
	if again && !s.changed(now) {
		return nil
	}
	s.looked = now
	docs := s.read()
	digest := digestOf(docs)
	if again && digest == s.digest {
		return nil
	}
	s.digest = digest
	value, warnings, err := s.parse(docs)
	switch {
	case err == nil:
		s.value, s.err = value, nil
		s.generation++
	case s.generation == 0:
		s.err = err
	default:
		warnings = append(warnings, err.Error()+" (what was read before stays in use)")
	}
	return warnings
}

// changed allocates nothing but what os.Stat does.
func (s *source[T]) changed(now time.Time) bool {
	for i, file := range s.files {
		if !s.looks[i].same(lookAt(file)) {
			return true
		}
	}
	if s.dir == "" {
		return s.doubtful
	}
	// A clock that stands still, in a test, cannot tell when a second has passed.
	if since := now.Sub(s.looked); 0 < since && since < dirInterval {
		return false
	}
	s.looked = now
	return s.doubtful || !slices.EqualFunc(s.looks[len(s.files):], lookIn(s.dir), look.same)
}

// read reads the files. What they look like is taken before, so that one which
// changes meanwhile looks different the next time, and is read again.
func (s *source[T]) read() []document {
	looks := make([]look, 0, len(s.files))
	for _, file := range s.files {
		looks = append(looks, lookAt(file))
	}
	if s.dir != "" {
		looks = append(looks, lookIn(s.dir)...)
	}
	s.looks, s.doubtful = looks, false
	var docs []document
	wall := time.Now() // file systems know no other clock, whatever Config.Time says
	for i, l := range looks {
		inDir := i > len(s.files)
		if l.info != nil && wall.Sub(l.info.ModTime()).Abs() <= tick {
			s.doubtful = true
		}
		if i == len(s.files) && l.info != nil && l.info.IsDir() || inDir && (l.info == nil || !l.info.Mode().IsRegular()) {
			continue
		}
		doc := l.read()
		doc.inDir = inDir
		// Why a file cannot be read is not always to be seen by stat(2).
		s.doubtful = s.doubtful || doc.err != nil && !inDir
		docs = append(docs, doc)
	}
	return docs
}

func lookAt(path string) look {
	info, err := os.Stat(path)
	if err != nil {
		return look{path: path, err: err}
	}
	return look{path: path, info: info}
}

// lookIn looks at a directory and at what is in it.
func lookIn(dir string) []look {
	own := lookAt(dir)
	if own.info == nil {
		return []look{own}
	}
	if !own.info.IsDir() {
		return []look{{path: dir, err: errNoDirectory}}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return []look{{path: dir, err: err}}
	}
	looks := []look{own}
	for _, entry := range entries {
		looks = append(looks, lookAt(filepath.Join(dir, entry.Name())))
	}
	return looks
}

var errNoDirectory = errors.New("not a directory")

func (l look) same(other look) bool {
	switch {
	case l.path != other.path:
		return false
	case l.info == nil || other.info == nil:
		return l.info == nil && other.info == nil && l.err.Error() == other.err.Error()
	}
	return l.info.ModTime().Equal(other.info.ModTime()) && l.info.Size() == other.info.Size() &&
		l.info.Mode() == other.info.Mode() && os.SameFile(l.info, other.info)
}

func (l look) read() document {
	doc := document{path: l.path}
	switch {
	case l.info == nil:
		doc.err = unreadable(l.path, l.err)
	case l.info.IsDir():
		doc.err = &FileError{File: l.path, Fault: "it is a directory", Remedy: "name a PEM file"}
	case !l.info.Mode().IsRegular():
		// Opening a pipe would wait for its writer.
		doc.err = &FileError{File: l.path, Fault: "it is not a regular file", Remedy: "name a PEM file"}
	case l.info.Size() > maxFile:
		doc.err = tooLarge(l.path)
	default:
		doc.data, doc.err = readFile(l.path)
	}
	return doc
}

func readFile(path string) ([]byte, *FileError) {
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, unreadable(path, err)
	case len(data) > maxFile:
		return nil, tooLarge(path) // it grew
	}
	return data, nil
}

func tooLarge(path string) *FileError {
	return &FileError{File: path, Fault: fmt.Sprintf("it has more than %d MiB", maxFile>>20), Remedy: "name a PEM file"}
}

func unreadable(path string, err error) *FileError {
	e := &FileError{File: path, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Fault = "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		e.Fault, e.Remedy = "this process may not read it", "let its user read the file"
	case errors.Is(err, errNoDirectory):
		e.Fault, e.Remedy = "it is not a directory", "name it as the CA file if it holds certificates"
	default:
		e.Fault = "it cannot be read: " + err.Error()
	}
	return e
}

// digestOf tells contents apart, and reasons for having none.
func digestOf(docs []document) (sum [sha256.Size]byte) {
	h := sha256.New()
	piece := func(p []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	for _, doc := range docs {
		piece([]byte(doc.path))
		piece(doc.data)
		if doc.err != nil {
			piece([]byte(doc.err.Error()))
		} else {
			piece(nil)
		}
	}
	h.Sum(sum[:0])
	return sum
}
