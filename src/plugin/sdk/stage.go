// Private copies of plugins' files: a directory of this process's own, which is removed with the manager; those of hosts
// that were killed are removed by the next one.

package hotplug

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
)

type stage struct {
	path string
	lock *os.File
	next atomic.Uint64
}

func newStage() (*stage, error) {
	prefix := "hotplug-stage-" + strconv.Itoa(os.Getuid()) + "-"
	// One whose lock nobody holds is left over.
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*", "lock"))
	for _, path := range old {
		if !locks {
			break
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if lockFile(file) == nil {
			os.RemoveAll(filepath.Dir(path))
		}
		file.Close()
	}
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, fmt.Errorf("cannot make a directory for copies of plugins: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock.new"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = lockFile(lock)
	}
	if err == nil {
		// Only now can others find it, and then it is held.
		err = os.Rename(lock.Name(), filepath.Join(dir, "lock"))
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("cannot lock the directory for copies of plugins: %w", err)
	}
	return &stage{path: dir, lock: lock}, nil
}

// copy copies a file whose hash is known, and returns where the copy is.
func (s *stage) copy(path, sum string) (string, error) {
	from, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer from.Close()
	copied := filepath.Join(s.path, strconv.FormatUint(s.next.Add(1), 10)+"-"+filepath.Base(path))
	hash := sha256.New()
	err = func() error {
		// A process that is started meanwhile would inherit the open file, and a file that somebody can write to cannot
		// be executed.
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		to, err := os.OpenFile(copied, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.MultiWriter(to, hash), from)
		if closed := to.Close(); err == nil {
			err = closed
		}
		return err
	}()
	if err == nil && hex.EncodeToString(hash.Sum(nil)) != sum {
		err = errUnsettled
	}
	if err != nil {
		os.Remove(copied)
		return "", fmt.Errorf("cannot copy `%s`: %w", path, err)
	}
	return copied, nil
}

func (s *stage) remove() {
	os.RemoveAll(s.path)
	s.lock.Close()
}
