// Package razor is a check-in server for development and small labs: it speaks the protocol
// that the Razor provisioning server speaks with a microkernel, quirks included, so that an
// image and its runtime extensions can be tried without PostgreSQL, JRuby and a data centre.
//
// It reads Razor's own config.yaml, hands out the extension and the boot files, takes
// check-ins, evaluates tag rules and binds policies as Razor does, keeps what it learns in one
// embedded database, and shows all of it on a web page that updates live.
//
// It refuses to be more than that: it installs nothing, powers nothing on, and its /svc
// endpoints are as open as Razor's own, so it belongs on loopback or on a laboratory network.
package razor
