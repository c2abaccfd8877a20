package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// open checks a checkpoint note with the log's verifier key; signatures by other keys are passed over.
func open(text []byte, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("the checkpoint says %q", lines)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// checkProof verifies a C2SP tlog-proof file for a record, with nothing but the verifier key.
func checkProof(proofFile, recordFile, vkey string) error {
	text, err := os.ReadFile(proofFile)
	if err != nil {
		return err
	}
	record, err := os.ReadFile(recordFile)
	if err != nil {
		return err
	}
	head, checkpoint, found := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("no proof: %q", lines)
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	tree, err := open([]byte(checkpoint), vkey)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(record)); err != nil {
		return err
	}
	fmt.Printf("record %d of %d\n", index, tree.N)
	return nil
}

// checkTree verifies a consistency proof, hashes in base64 separated by commas, between two checkpoints.
func checkTree(oldFile, newFile, proof, vkey string) error {
	var trees [2]tlog.Tree
	for i, file := range []string{oldFile, newFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if trees[i], err = open(text, vkey); err != nil {
			return err
		}
	}
	var hashes tlog.TreeProof
	for _, text := range strings.FieldsFunc(proof, func(r rune) bool { return r == ',' }) {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			return err
		}
		hashes = append(hashes, hash)
	}
	if err := tlog.CheckTree(hashes, trees[1].N, trees[1].Hash, trees[0].N, trees[0].Hash); err != nil {
		return err
	}
	fmt.Printf("%d continues %d\n", trees[1].N, trees[0].N)
	return nil
}

// served reads tiles from a static file server, as C2SP tlog-tiles names them.
type served string

func (s served) get(path string) ([]byte, error) {
	response, err := http.Get(string(s) + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return io.ReadAll(response.Body)
}

func (s served) Height() int { return 8 }

func (s served) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		// sumdb has the height in its paths, C2SP has not.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := s.get(path)
		if err != nil {
			return nil, err
		}
		data = append(data, bytes)
	}
	return data, nil
}

func (s served) SaveTiles([]tlog.Tile, [][]byte) {}

// checkServed serves an exported directory on a loopback port with Go's file server, and reads it as a client would:
// checkpoint, every leaf through authenticated tiles, an inclusion proof of every record, consistency from every
// 97th size, and every entry of the bundles against its leaf.
func checkServed(dir, vkey string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(listener, http.FileServer(http.Dir(dir)))
	log := served("http://" + listener.Addr().String() + "/")
	text, err := log.get("checkpoint")
	if err != nil {
		return err
	}
	tree, err := open(text, vkey)
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, log)
	var indexes []int64
	for n := int64(0); n < tree.N; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, n))
	}
	leaves, err := reader.ReadHashes(indexes)
	if err != nil {
		return err
	}
	for n := int64(0); n < tree.N; n += 61 {
		proof, err := tlog.ProveRecord(tree.N, n, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, leaves[n]); err != nil {
			return err
		}
	}
	for n := int64(1); n < tree.N; n += 97 {
		proof, err := tlog.ProveTree(tree.N, n, reader)
		if err != nil {
			return err
		}
		old, err := tlog.TreeHash(n, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, n, old); err != nil {
			return err
		}
	}
	entries := int64(0)
	for n := int64(0); n*256 < tree.N; n++ {
		tile := tlog.Tile{H: 8, L: 0, N: n, W: int(min(256, tree.N-n*256))}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		bundle, err := log.get(path)
		if err != nil {
			return err
		}
		for len(bundle) > 0 {
			length := int(bundle[0])<<8 | int(bundle[1])
			if tlog.RecordHash(bundle[2:2+length]) != leaves[entries] {
				return fmt.Errorf("entry %d does not hash to its leaf", entries)
			}
			bundle = bundle[2+length:]
			entries++
		}
	}
	if entries != tree.N {
		return fmt.Errorf("%d entries of %d", entries, tree.N)
	}
	fmt.Printf("%d records, root %s\n", tree.N, base64.StdEncoding.EncodeToString(tree.Hash[:]))
	return nil
}
