package main

import (
	"os"
	"path/filepath"
)

// cacheDirEnv names the cache where --cache-dir does not.
const cacheDirEnv = "MKBUILD_CACHE_DIR"

// cacheDir is where every command keeps downloads: what the flag says, else the environment, else a
// folder of the system's choice.
func cacheDir(w *world, flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if dir := w.getenv(cacheDirEnv); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", usage("find the cache folder: "+err.Error(), "name one with --cache-dir DIR or "+cacheDirEnv)
	}
	return filepath.Join(dir, "mkbuild"), nil
}
