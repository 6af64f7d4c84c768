package fail

import "strings"

// Nearest returns the choice nearest to word, or "" if none is near: at most two letters, and less than half of the
// word, are wrong, added, missing or swapped.
func Nearest(word string, choices []string) string {
	best, least := "", 3
	for _, c := range choices {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if d < least && 2*d < max(len(word), len(c)) {
			best, least = c, d
		}
	}
	return best
}

// distance counts the edits between two words; two swapped neighbours count once.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0 || j == 0:
				rows[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				rows[i][j] = rows[i-1][j-1]
			default:
				rows[i][j] = 1 + min(rows[i-1][j-1], rows[i-1][j], rows[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], 1+rows[i-2][j-2])
			}
		}
	}
	return rows[len(a)][len(b)]
}
