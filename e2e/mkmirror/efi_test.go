package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mkbuild/e2e/testkit"
)

// GRUB finds the ISO by the volume's date, with its menu next to the loader in either place.
func TestStageEFI(t *testing.T) {
	root := t.TempDir()
	writeTestFile(t, filepath.Join(root, filepath.FromSlash(efiGRUB)), "MZ loader")
	b := newBuilder(&pool{roots: map[string]string{"grub-efi-amd64-bin": root}})
	stageEFI(b)
	tree, err := b.done()
	testkit.Must(t, err)
	menu, err := tree.Get(efiMenu).Content(1 << 16)
	if err != nil || !strings.Contains(string(menu), "--fs-uuid 2012-05-09-00-00-00-00\n") || strings.Contains(string(menu), "{uuid}") {
		t.Errorf("%v, menu:\n%s", err, menu)
	}
	img, err := tree.Get(efiImage).Content(1 << 20)
	if err != nil || !strings.Contains(string(img), "MZ loader") || !strings.Contains(string(img), string(menu)) {
		t.Errorf("%v: the EFI image lacks loader or menu", err)
	}
	testkit.Must(t, os.Remove(filepath.Join(root, filepath.FromSlash(efiGRUB))))
	lost := newBuilder(b.pool)
	if stageEFI(lost); lost.err == nil {
		t.Error("no loader, and no error")
	}
}

// Programs that need root's rights are those of the set-uid busybox, if there is one.
func TestBusyboxTarget(t *testing.T) {
	for _, tc := range [][3]string{
		{"bin/ls", "busybox.suid", "busybox"}, {"bin/mount", "busybox.suid", "busybox.suid"}, {"usr/bin/passwd", "busybox.suid", "../../bin/busybox.suid"},
		{"sbin/init", "busybox.suid", "../bin/busybox"}, {"bin/mount", "busybox", "busybox"},
	} {
		if got := busyboxTarget(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%s: got %s, want %s", tc[0], got, tc[2])
		}
	}
}
