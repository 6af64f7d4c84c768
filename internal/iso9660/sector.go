package iso9660

import (
	"encoding/binary"
	"strconv"
	"time"
)

const (
	sectorSize    = 2048
	systemSectors = 16 // ECMA-119 6.2.1: the system area
	blockSize     = 512
	blocksPerSec  = sectorSize / blockSize
)

// sectors returns the number of sectors for n bytes.
func sectors(n int64) uint32 { return uint32((n + sectorSize - 1) / sectorSize) }

// blocks returns the number of 512-byte blocks for n bytes.
func blocks(n int64) int64 { return (n + blockSize - 1) / blockSize }

// both16 and both32 write numbers in both byte orders (ECMA-119 7.2.3, 7.3.3).
func both16(b []byte, v uint16) {
	binary.LittleEndian.PutUint16(b, v)
	binary.BigEndian.PutUint16(b[2:], v)
}

func both32(b []byte, v uint32) {
	binary.LittleEndian.PutUint32(b, v)
	binary.BigEndian.PutUint32(b[4:], v)
}

func le16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// padded returns b padded with zeros to whole sectors.
func padded(b []byte) []byte {
	return append(b, make([]byte, int(sectors(int64(len(b))))*sectorSize-len(b))...)
}

// shortDate encodes the 7-byte date of directory records (ECMA-119 9.1.5). Its range is 1900 to 2155; other times
// become the nearest end.
func shortDate(unix int64) []byte {
	t := time.Unix(unix, 0).UTC()
	if t.Year() < 1900 {
		t = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if t.Year() > 2155 {
		t = time.Date(2155, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return []byte{
		byte(t.Year() - 1900), byte(t.Month()), byte(t.Day()),
		byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0,
	}
}

// parseShortDate decodes a 7-byte date. Its last byte is the zone in quarters of an hour.
func parseShortDate(b []byte) int64 {
	if b[1] == 0 && b[2] == 0 { // "not specified"
		return 0
	}
	t := time.Date(1900+int(b[0]), time.Month(b[1]), int(b[2]), int(b[3]), int(b[4]), int(b[5]), 0, time.UTC)
	return t.Unix() - int64(int8(b[6]))*900
}

// longDate encodes the 17-byte date of volume descriptors (ECMA-119 8.4.26.1).
func longDate(unix int64, centis uint8) []byte {
	t := time.Unix(unix, 0).UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return noDate()
	}
	b := t.AppendFormat(nil, "20060102150405")
	centis %= 100
	return append(b, '0'+centis/10, '0'+centis%10, 0)
}

// noDate is the 17-byte date "not specified".
func noDate() []byte { return []byte("0000000000000000\x00") }

// parseLongDate decodes a 17-byte date; a malformed or unspecified one is 0.
func parseLongDate(b []byte) (unix int64, centis uint8) {
	t, err := time.Parse("20060102150405", string(b[:14]))
	if err != nil || t.Year() < 1 {
		return 0, 0
	}
	c, err := strconv.ParseUint(string(b[14:16]), 10, 8)
	if err != nil {
		c = 0
	}
	return t.Unix() - int64(int8(b[16]))*900, uint8(c)
}
