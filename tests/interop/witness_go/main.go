// Serves a witness that is not ours on a free loopback port: github.com/transparency-dev/witness, with its state in a
// file that can be kept or lost. Prints its address and verifier key as one line of JSON.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

// store keeps one checkpoint for each origin, in a file.
type store struct {
	mu   sync.Mutex
	path string
}

func (s *store) read() (map[string][]byte, error) {
	state := map[string][]byte{}
	raw, err := os.ReadFile(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return state, nil
	}
	if err != nil {
		return nil, err
	}
	return state, json.Unmarshal(raw, &state)
}

func (s *store) Init(context.Context) error { return nil }

func (s *store) Latest(_ context.Context, origin string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, err := s.read()
	return state[origin], err
}

func (s *store) Update(_ context.Context, origin string, f func([]byte) ([]byte, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, err := s.read()
	if err != nil {
		return err
	}
	next, err := f(state[origin])
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(next, []byte(origin+"\n")) {
		return errors.New("another origin")
	}
	state[origin] = next
	raw, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return os.WriteFile(s.path, raw, 0o600)
}

// keys reads the signing and the verifier key, or makes them where there are none.
func keys(path, algorithm, name string) (skey, vkey string, err error) {
	if raw, err := os.ReadFile(path); err == nil {
		skey, vkey, _ = strings.Cut(string(raw), "\n")
		return skey, vkey, nil
	}
	switch algorithm {
	case "ed25519":
		if skey, vkey, err = note.GenerateKey(rand.Reader, name); err == nil {
			vkey, err = cosigner(skey, vkey)
		}
	case "mldsa":
		skey, vkey, err = fnote.GenerateMLDSAKey(name)
	default:
		err = fmt.Errorf("no algorithm %q", algorithm)
	}
	if err != nil {
		return "", "", err
	}
	return skey, vkey, os.WriteFile(path, []byte(skey+"\n"+vkey), 0o600)
}

// cosigner is the verifier key for cosignatures of an Ed25519 key: type 4 instead of 1, and so another id.
func cosigner(skey, vkey string) (string, error) {
	signer, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		return "", err
	}
	public, err := base64.StdEncoding.DecodeString(strings.SplitN(vkey, "+", 3)[2])
	if err != nil {
		return "", err
	}
	public[0] = 4
	return fmt.Sprintf("%s+%08x+%s", signer.Name(), signer.KeyHash(), base64.StdEncoding.EncodeToString(public)), nil
}

func run() error {
	if len(os.Args) != 6 {
		return errors.New("usage: witness STATE KEY ALGORITHM NAME LOG_VKEY")
	}
	skey, public, err := keys(os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		return err
	}
	signer, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		return err
	}
	trusted, err := note.NewVerifier(os.Args[5])
	if err != nil {
		return err
	}
	w, err := witness.New(context.Background(), witness.Opts{
		Persistence: &store{path: os.Args[1]},
		Signers:     []note.Signer{signer},
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			return trusted, origin == trusted.Name(), nil
		},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	http.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	said, err := json.Marshal(map[string]string{"url": "http://" + listener.Addr().String(), "vkey": public})
	if err != nil {
		return err
	}
	fmt.Println(string(said))
	return http.Serve(listener, nil)
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
