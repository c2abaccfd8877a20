// Checks a journal directory with Go's sumdb packages, which know nothing of Quarterdeck: every commit line's note
// is opened with the verifier key, and its root compared with the tree over the stored record bytes.
//
// Usage: journal log DIR VKEY | proof FILE RECORD VKEY | tree OLD NEW HASHES VKEY | served DIR VKEY
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, i := range indexes {
		found = append(found, h[i])
	}
	return found, nil
}

func main() {
	args := os.Args[2:]
	var err error
	switch os.Args[1] {
	case "log":
		err = run(args[0], args[1])
	case "proof":
		err = checkProof(args[0], args[1], args[2])
	case "tree":
		err = checkTree(args[0], args[1], args[2], args[3])
	case "served":
		err = checkServed(args[0], args[1])
	}
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}

func run(dir, vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "records", "*.jsonl"))
	if err != nil {
		return err
	}
	sort.Strings(files)
	var stored hashes
	var size, commits int64
	var last tlog.Hash
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			line := lines.Bytes()
			if len(line) == 0 {
				continue
			}
			if !bytes.HasPrefix(line, []byte(`{"checkpoint":`)) {
				added, err := tlog.StoredHashes(size, line, stored)
				if err != nil {
					return err
				}
				stored = append(stored, added...)
				size++
				continue
			}
			var commit struct{ Checkpoint string }
			if err := json.Unmarshal(line, &commit); err != nil {
				return err
			}
			opened, err := note.Open([]byte(commit.Checkpoint), note.VerifierList(verifier))
			if err != nil {
				return err
			}
			text := strings.Split(opened.Text, "\n")
			root, err := tlog.TreeHash(size, stored)
			if err != nil {
				return err
			}
			if text[0] != verifier.Name() || text[1] != strconv.FormatInt(size, 10) || text[2] != root.String() {
				return fmt.Errorf("the checkpoint says %q, and the tree over %d records has the root %s", text, size, root)
			}
			commits++
			last = root
		}
	}
	// An inclusion proof for every record against the last root, as an auditor would ask for one.
	for n := int64(0); n < size; n++ {
		proof, err := tlog.ProveRecord(size, n, stored)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, size, last, n, stored[tlog.StoredHashIndex(0, n)]); err != nil {
			return err
		}
	}
	fmt.Printf("%d records, %d commits, root %s\n", size, commits, last)
	return nil
}
