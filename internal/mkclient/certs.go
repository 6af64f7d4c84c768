package mkclient

import (
	"crypto/x509"
	"encoding/pem"
)

// parseCertificates reads the certificates of a PEM file and skips everything else in it.
func parseCertificates(b []byte) []*x509.Certificate {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return certs
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			certs = append(certs, cert)
		}
	}
}
