package tcz

import (
	"errors"
	"strings"
	"testing"
)

func TestFileName(t *testing.T) {
	t.Parallel()
	const k = "3.0.21-tinycore"
	tests := []struct{ name, kernel, want string }{
		{"bash", k, "bash.tcz"},
		{"bash.tcz", "", "bash.tcz"},
		{"scsi-KERNEL", k, "scsi-3.0.21-tinycore.tcz"},
		{"scsi-KERNEL.tcz", k, "scsi-3.0.21-tinycore.tcz"},
		{"scsi-3.0.21-tinycore", k, "scsi-3.0.21-tinycore.tcz"},
		{"a-KERNEL-b", k, "a-KERNEL-b.tcz"},
		{"KERNEL", k, "KERNEL.tcz"},
		{"scsi-kernel", k, "scsi-kernel.tcz"},
		{"libstdc++_4.6-dev", k, "libstdc++_4.6-dev.tcz"},
		{"Xorg-7.6", k, "Xorg-7.6.tcz"},
		{"x-KERNEL", "6.1.2-tinycore64", "x-6.1.2-tinycore64.tcz"},
	}
	for _, tt := range tests {
		if got, err := FileName(tt.name, tt.kernel); got != tt.want || err != nil {
			t.Errorf("FileName(%q, %q) = %q, %v; want %q", tt.name, tt.kernel, got, err, tt.want)
		}
	}
}

func TestFileNameRefuses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", ".tcz", "..", "../bash", "a/b", "/bash.tcz", `a\b`, "a\x00b", "a b", " bash", "bash\n", "-rf", ".hidden",
		"a..b", "a;b", "$(id)", "`id`", "a%2fb", "a?b", "a#b", "ä", "a\xff", "<html>", strings.Repeat("x", 250),
	} {
		if got, err := FileName(name, "3.0.21"); !errors.Is(err, ErrName) {
			t.Errorf("FileName(%q) = %q, %v; want ErrName", name, got, err)
		}
	}
	if _, err := FileName("scsi-KERNEL", ""); !errors.Is(err, ErrName) || !strings.Contains(err.Error(), "kernel's release") {
		t.Errorf("without a kernel: %v", err)
	}
	if _, err := FileName("scsi-KERNEL", "../x"); !errors.Is(err, ErrName) {
		t.Errorf("bad kernel: %v", err)
	}
}

func FuzzFileName(f *testing.F) {
	f.Add("scsi-KERNEL.tcz", "3.0.21-tinycore")
	f.Add("../etc", "")
	f.Fuzz(func(t *testing.T, name, kernel string) {
		file, err := FileName(name, kernel)
		if err != nil {
			return
		}
		if strings.ContainsAny(file, "/\\\x00 \n") || strings.HasPrefix(file, "-") || !strings.HasSuffix(file, Suffix) {
			t.Errorf("FileName(%q, %q) = %q", name, kernel, file)
		}
	})
}
