package iso9660

// HasTables reports whether [Image.Write] writes tables into a file that say where it lies: a
// boot-info-table, or GRUB's own position.
func (img *Image) HasTables(name string) bool {
	info, grub := img.tables(name)
	return info || grub
}

func (img *Image) tables(name string) (info, grub bool) {
	for i := range img.Boot {
		if e := &img.Boot[i]; e.Path == name && name != "" {
			info, grub = info || e.InfoTable, grub || e.GrubInfo
		}
	}
	return info, grub
}

// WithoutTables reads a boot file of at most 64 MiB with those tables zero, which is the same
// wherever the file lies.
func (img *Image) WithoutTables(f *File) ([]byte, error) {
	b, err := f.Content(maxBootFile)
	if err != nil {
		return nil, err
	}
	info, grub := img.tables(f.Path)
	if info && len(b) >= infoTableEnd {
		clear(b[8:infoTableEnd])
	}
	if grub && len(b) >= grubInfoAt+8 {
		clear(b[grubInfoAt : grubInfoAt+8])
	}
	return b, nil
}

// TableError says what is wrong with a boot file's boot-info-table.
type TableError struct{ Path, What string }

func (e *TableError) Error() string { return "boot-info-table of " + e.Path + ": " + e.What }

// CheckTables looks at the boot-info-table of the BIOS entry of an image that was read with [Open]:
// isolinux finds its own rest by it. An entry whose file has none where it should gives a
// [*TableError]; one that needs none, such as an EFI image, gives nil.
func (img *Image) CheckTables(e *BootEntry) error {
	if e.Path == "" || !e.InfoTable {
		return nil
	}
	b, err := img.Lookup(e.Path).Content(maxBootFile)
	if err != nil {
		return err
	}
	switch {
	case len(b) < infoTableEnd:
		return &TableError{e.Path, "the file is too short for one"}
	case le32(b[12:]) != e.lba:
		return &TableError{e.Path, "it names another place than the boot catalog"}
	case int64(le32(b[16:])) != int64(len(b)):
		return &TableError{e.Path, "it names another length than the file has"}
	case le32(b[20:]) != sumWords(b[infoTableEnd:]):
		return &TableError{e.Path, "its checksum is not that of the file"}
	}
	return nil
}
