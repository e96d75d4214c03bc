// Directories of plugins: which files are plugins, what is known about them before they are opened, and that nothing
// half-written is.

package hotplug

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The ends of the names of files that are plugins, and of what stands beside them.
const (
	sharedEnd  = ".so"
	processEnd = ".proc"
	sidecarEnd = ".json"
)

// Sidecar is what a file `name.so.json` or `name.proc.json` beside a plugin says about it in JSON. Without one a plugin
// is called like its file, and counts as changed whenever its file does.
type Sidecar struct {
	Metadata
	// SHA256 is that of the plugin's file, in hexadecimal. While it is another, one of the two files is not there yet.
	SHA256 string `json:"sha256"`
	// Shared are hashes of the sources of packages that are in the plugin and not its own, and may change: Go keeps the
	// first that it has loaded of each.
	Shared map[string]string `json:"shared,omitempty"`
}

// directory is one of them, with the hashes of the files that were read before.
type directory struct {
	path  string
	known map[string]hashed
	// What it looked like when it was last acted upon.
	acted string
}

type hashed struct {
	info fs.FileInfo
	sum  string
}

// unreadable is what a directory looks like that cannot be read: like no other.
const unreadable = "\x00"

func newDirectory(path string) *directory { return &directory{path: path, known: map[string]hashed{}} }

// errUnsettled is a file that somebody is writing.
var errUnsettled = errors.New("it is being written: write it elsewhere and rename it into place")

// plugins lists the files that are plugins, and a text that differs when anything about them does.
func (d *directory) plugins() (files []fs.FileInfo, look string, err error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, "", fmt.Errorf("cannot read the directory of plugins: %w", err)
	}
	var text strings.Builder
	for _, entry := range entries {
		name := entry.Name()
		end := filepath.Ext(strings.TrimSuffix(name, sidecarEnd))
		if strings.HasPrefix(name, ".") || end != sharedEnd && end != processEnd {
			continue
		}
		// What a link leads to counts.
		info, err := os.Stat(filepath.Join(d.path, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		fmt.Fprintf(&text, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		if !strings.HasSuffix(name, sidecarEnd) {
			files = append(files, info)
		}
	}
	return files, text.String(), nil
}

func (d *directory) offers(m *Manager) ([]offer, error) {
	files, look, err := d.plugins()
	if err != nil {
		d.acted = unreadable
		return nil, err
	}
	d.acted = look
	var offers []offer
	known := map[string]hashed{}
	for _, info := range files {
		path := filepath.Join(d.path, info.Name())
		name := strings.TrimSuffix(info.Name(), filepath.Ext(path))
		sum, err := d.sum(path, info)
		if err != nil {
			return nil, &Error{Plugin: name, Step: "open", Cause: err}
		}
		known[path] = hashed{info, sum}
		sidecar, err := readSidecar(path)
		if err != nil {
			return nil, &Error{Plugin: name, Step: "open", Cause: err}
		}
		if sidecar.SHA256 != "" && sidecar.SHA256 != sum {
			cause := fmt.Errorf("`%s` does not belong to its sidecar: %w", path, errUnsettled)
			return nil, &Error{Plugin: name, Step: "open", Cause: cause}
		}
		if sidecar.Name != "" {
			name = sidecar.Name
		}
		found := offer{offered: offered{name: name, hash: sidecar.Hash, file: sum, path: path}, form: SharedObject, shared: sidecar.Shared}
		found.generation = sidecar.Generation
		if filepath.Ext(path) == processEnd {
			found.form = Process
		}
		found.open = func() (instance, error) { return m.openFile(found) }
		offers = append(offers, found)
	}
	d.known = known
	return offers, nil
}

// sum is the hash of a file, which is read only if it is another than before.
func (d *directory) sum(path string, info fs.FileInfo) (string, error) {
	before, there := d.known[path]
	if there && os.SameFile(before.info, info) && before.info.Size() == info.Size() && before.info.ModTime().Equal(info.ModTime()) {
		return before.sum, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	if err != nil {
		return "", err
	}
	after, err := file.Stat()
	if err != nil {
		return "", err
	}
	if size != info.Size() || after.Size() != info.Size() || !after.ModTime().Equal(info.ModTime()) {
		return "", fmt.Errorf("`%s`: %w", path, errUnsettled)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func readSidecar(path string) (Sidecar, error) {
	var sidecar Sidecar
	text, err := os.ReadFile(path + sidecarEnd)
	if errors.Is(err, fs.ErrNotExist) {
		return sidecar, nil
	}
	if err != nil {
		return sidecar, err
	}
	if err := json.Unmarshal(text, &sidecar); err != nil {
		return sidecar, fmt.Errorf("cannot read `%s`: %w: build the plugin again", path+sidecarEnd, err)
	}
	if sidecar.SDK != 0 && sidecar.SDK != SDKVersion {
		return sidecar, fmt.Errorf("it was generated for version %d of the SDK, and this host has %d: build it again", sidecar.SDK, SDKVersion)
	}
	return sidecar, nil
}

// openFile opens a private copy of a plugin's file: whatever happens to the original, what runs stays whole, and Go
// would take a file at a path that it knows for the one it has loaded.
func (m *Manager) openFile(found offer) (instance, error) {
	if found.form == SharedObject && openShared == nil {
		return nil, fmt.Errorf("%w: this host cannot open shared objects: add `import _ \"hotwatch.invalid/hotplug/so\"` to it", ErrUnsupported)
	}
	if m.stage == nil {
		stage, err := newStage()
		if err != nil {
			return nil, err
		}
		m.stage = stage
	}
	copied, err := m.stage.copy(found.path, found.file)
	if err != nil {
		return nil, err
	}
	if found.form == Process {
		code, err := openProcess(m, found.name, copied)
		if err != nil {
			os.Remove(copied)
		}
		return code, err
	}
	// Once it is loaded the file may go.
	defer os.Remove(copied)
	if err := firstLoaded.admit(found.shared); err != nil {
		return nil, err
	}
	return openObject(copied, found.file)
}
