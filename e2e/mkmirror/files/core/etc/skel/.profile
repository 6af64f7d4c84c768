# Settings of your own login shell.
export EDITOR=vi
