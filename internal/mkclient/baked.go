package mkclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"mkbuild/internal/extension"
)

// BakedExtension is where, below the root, an image may bring an extension of its own (`mkbuild customize
// --extension`). It is in force as long as the server gives none.
const BakedExtension = "usr/lib/mk-client/mk-extension.zip"

// bakedURL stands in the memory for where it came from.
const bakedURL = "file:///" + BakedExtension

// fromServer reports whether the server has ever given an extension that is still known.
func (r *refresher) fromServer() bool {
	for i := range r.state.Generations {
		if r.state.Generations[i].URL != bakedURL {
			return true
		}
	}
	return false
}

// useBaked unpacks the image's own extension when there is no other. One that cannot be used is
// logged once: nothing about it will change before the next boot.
func (r *refresher) useBaked(ctx context.Context) {
	if len(r.state.Generations) > 0 || r.set.ExtendURL() == "" {
		return
	}
	if err := r.takeBaked(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.log.Changed("baked", Error, "the image's own extension %s is not used: %v", r.baked, err)
	}
}

func (r *refresher) takeBaked(ctx context.Context) error {
	f, err := os.Open(r.baked)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(f, r.lim.Compressed+1))
	if err != nil {
		return err
	}
	g := generation{URL: bakedURL, SHA256: hex.EncodeToString(sum.Sum(nil)), validators: validators{Size: n}}
	if p := r.set.ExtendSHA256; p != "" && p != g.SHA256 {
		return fmt.Errorf("its sha256 is %s, razor.extend_sha256 wants %s", g.SHA256, p)
	}
	a, err := extension.Open(f, n, r.limits())
	if err != nil {
		return err
	}
	return r.adopt(ctx, a, g)
}

// origin says for people which extension it is.
func (g *generation) origin() string {
	if g.URL == bakedURL {
		return "the image"
	}
	return g.LastModified
}
