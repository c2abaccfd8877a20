// Times the hashing part of a verification with Go's sumdb: the leaf of every record, the tree over them, and the root
// at every commit. Reading and splitting the files is not timed. benches/verify.rs runs it beside its own.
//
// Usage: verify DIR
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, 0, len(indexes))
	for _, i := range indexes {
		found = append(found, h[i])
	}
	return found, nil
}

func main() {
	files, err := filepath.Glob(filepath.Join(os.Args[1], "records", "*.jsonl"))
	if err != nil {
		panic(err)
	}
	sort.Strings(files)
	var stored hashes
	var size int64
	var root tlog.Hash
	var took time.Duration
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		lines := bytes.Split(data, []byte("\n"))
		begun := time.Now()
		for _, line := range lines {
			if len(line) == 0 {
				continue
			}
			if bytes.HasPrefix(line, []byte(`{"checkpoint":`)) {
				if root, err = tlog.TreeHash(size, stored); err != nil {
					panic(err)
				}
				continue
			}
			added, err := tlog.StoredHashesForRecordHash(size, tlog.RecordHash(line), stored)
			if err != nil {
				panic(err)
			}
			stored = append(stored, added...)
			size++
		}
		took += time.Since(begun)
	}
	fmt.Printf("%d %s %d\n", size, root, took.Microseconds())
}
