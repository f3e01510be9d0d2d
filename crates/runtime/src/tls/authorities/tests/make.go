//go:build ignore

// Makes cases.txt, certificates that were given and shown, and prints what Go's
// verifier says of each. Run by hand, as "go run make.go"; the keys are thrown away.
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"time"
)

var (
	from = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to   = time.Date(2126, 1, 1, 0, 0, 0, 0, time.UTC)
	now  = time.Unix(1_800_000_000, 0) // January 2027
	last int64
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ec() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// One certificate and its key.
type made struct {
	der []byte
	tpl *x509.Certificate
	key crypto.Signer
}

type opt func(*spec)
type spec struct {
	serial  *big.Int // one that CreateCertificate does not make
	tpl     x509.Certificate
	key     crypto.Signer
	version int  // 0: 3
	sha1    bool // signed with SHA-1
	inner   bool // names another algorithm inside
	spoil   bool
	raw     bool // no basic constraints
}

func name(n string) pkix.Name {
	if n == "" {
		return pkix.Name{}
	}
	return pkix.Name{CommonName: n}
}

func cert(cn string, by *made, opts ...opt) *made {
	last++
	s := spec{tpl: x509.Certificate{
		SerialNumber: big.NewInt(last), Subject: name(cn), NotBefore: from, NotAfter: to,
		BasicConstraintsValid: true,
	}}
	for _, o := range opts {
		o(&s)
	}
	if s.key == nil {
		s.key = ec()
	}
	if s.raw {
		s.tpl.BasicConstraintsValid = false
	}
	m := &made{tpl: &s.tpl, key: s.key}
	parent, signer := m.tpl, m.key
	if by != nil {
		parent, signer = must(x509.ParseCertificate(by.der)), by.key
	}
	m.der = must(x509.CreateCertificate(rand.Reader, m.tpl, parent, s.key.Public(), signer))
	if s.version != 0 || s.sha1 || s.inner || s.serial != nil {
		m.der = again(m.der, s, signer)
	}
	if s.spoil {
		m.der = bytes.Clone(m.der)
		m.der[len(m.der)-1] ^= 1
	}
	return m
}

type tbs struct {
	Version    int `asn1:"optional,explicit,default:0,tag:0"`
	Serial     *big.Int
	Algorithm  pkix.AlgorithmIdentifier
	Issuer     asn1.RawValue
	Validity   asn1.RawValue
	Subject    asn1.RawValue
	Key        asn1.RawValue
	Extensions []pkix.Extension `asn1:"optional,explicit,tag:3"`
}
type outer struct {
	TBS       asn1.RawValue
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

// The same of another version or with another algorithm, signed again.
func again(der []byte, s spec, signer crypto.Signer) []byte {
	var o outer
	must(asn1.Unmarshal(der, &o))
	var t tbs
	must(asn1.Unmarshal(o.TBS.FullBytes, &t))
	if s.version != 0 {
		t.Version = s.version - 1
		t.Extensions = nil
	}
	if s.serial != nil {
		t.Serial = s.serial
	}
	if s.sha1 {
		t.Algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}}
		o.Algorithm = t.Algorithm
	}
	if s.inner {
		t.Algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}}
	}
	o.TBS.FullBytes = must(asn1.Marshal(t))
	var sig []byte
	if s.sha1 {
		sum := sha1.Sum(o.TBS.FullBytes)
		sig = must(signer.Sign(rand.Reader, sum[:], crypto.SHA1))
	} else {
		sum := sha256.Sum256(o.TBS.FullBytes)
		sig = must(signer.Sign(rand.Reader, sum[:], crypto.SHA256))
	}
	o.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	return must(asn1.Marshal(o))
}

func ca(s *spec)            { s.tpl.IsCA = true }
func serial(n *big.Int) opt { return func(s *spec) { s.serial = n } }
func forever(s *spec)       { s.tpl.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }
func v1(s *spec)            { s.version = 1 }
func v2(s *spec)            { s.version = 2 }
func noBC(s *spec)          { s.raw = true }
func spoil(s *spec)         { s.spoil = true }
func client(s *spec)        { s.tpl.ExtKeyUsage = append(s.tpl.ExtKeyUsage, x509.ExtKeyUsageClientAuth) }
func server(s *spec)        { s.tpl.ExtKeyUsage = append(s.tpl.ExtKeyUsage, x509.ExtKeyUsageServerAuth) }
func anyUse(s *spec)        { s.tpl.ExtKeyUsage = append(s.tpl.ExtKeyUsage, x509.ExtKeyUsageAny) }
func odd(s *spec) {
	s.tpl.UnknownExtKeyUsage = append(s.tpl.UnknownExtKeyUsage, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1})
}
func past(s *spec)              { s.tpl.NotAfter = from.AddDate(0, 6, 0) }
func future(s *spec)            { s.tpl.NotBefore = to.AddDate(-1, 0, 0) }
func usage(u x509.KeyUsage) opt { return func(s *spec) { s.tpl.KeyUsage = u } }
func path(n int) opt {
	return func(s *spec) { s.tpl.MaxPathLen = n; s.tpl.MaxPathLenZero = n == 0 }
}
func dns(n ...string) opt { return func(s *spec) { s.tpl.DNSNames = n } }
func only(n string) opt {
	return func(s *spec) { s.tpl.PermittedDNSDomains = []string{n}; s.tpl.PermittedDNSDomainsCritical = true }
}
func ext(critical bool) opt {
	return func(s *spec) {
		s.tpl.ExtraExtensions = append(s.tpl.ExtraExtensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 2}, Critical: critical, Value: []byte{5, 0}})
	}
}
func badUsage(s *spec) {
	s.tpl.ExtraExtensions = append(s.tpl.ExtraExtensions, pkix.Extension{
		Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{4, 0}})
}
func noUsage(s *spec) {
	s.tpl.ExtraExtensions = append(s.tpl.ExtraExtensions, pkix.Extension{
		Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 0}})
}
func policies(s *spec) {
	s.tpl.ExtraExtensions = append(s.tpl.ExtraExtensions, pkix.Extension{
		Id: asn1.ObjectIdentifier{2, 5, 29, 32}, Critical: true,
		Value: []byte{0x30, 7, 0x30, 5, 6, 3, 0x2a, 3, 4}})
}
func with(k crypto.Signer) opt { return func(s *spec) { s.key = k } }
func rsaKey(bits int) opt {
	return with(must(rsa.GenerateKey(rand.Reader, bits)))
}
func alg(a x509.SignatureAlgorithm) opt { return func(s *spec) { s.tpl.SignatureAlgorithm = a } }

type kase struct {
	name   string
	server bool
	given  []*made
	shown  []*made
}

func list(m ...*made) []*made { return m }

var cases []kase

func add(name string, given, shown []*made) { cases = append(cases, kase{name, false, given, shown}) }
func addServer(name string, given, shown []*made) {
	cases = append(cases, kase{name, true, given, shown})
}

func main() {
	root := cert("ca", nil, ca)
	mid := cert("mid", root, ca)
	leaf := func(by *made, o ...opt) *made { return cert("jane", by, o...) }

	// Forms of the certificate itself.
	add("version 3", list(root), list(leaf(root, client)))
	add("version 1", list(root), list(leaf(root, v1)))
	add("version 2", list(root), list(leaf(root, v2)))
	add("says it is a CA", list(root), list(leaf(root, ca)))
	addServer("says it is a CA, for a server", list(root), list(leaf(root, ca, dns("n1.test"))))
	add("empty subject", list(root), list(cert("", root, client)))
	add("version 1, empty subject", list(root), list(cert("", root, v1)))
	add("no basic constraints", list(root), list(leaf(root, noBC)))
	{
		r := cert("", nil, ca)
		add("empty subject of the CA", list(r), list(leaf(r)))
	}
	// Given itself.
	{
		l := leaf(nil)
		add("given itself", list(l), list(l))
		o := leaf(nil, v1)
		add("given itself, version 1", list(o), list(o))
		c := leaf(nil, ca)
		add("given itself, says it is a CA", list(c), list(c))
		s := leaf(root)
		add("given itself, signed by somebody who was not", list(s), list(s))
		e := leaf(nil, past)
		add("given itself, expired", list(e), list(e))
		u := leaf(nil, server)
		add("given itself, for servers", list(u), list(u))
		x := leaf(nil, ext(true))
		add("given itself, unknown critical extension", list(x), list(x))
	}
	// Who may sign.
	{
		l := leaf(nil)
		add("signed by a given leaf", list(l), list(cert("joe", l)))
		add("version 1, signed by a given leaf", list(l), list(cert("joe", l, v1)))
		n := leaf(nil, noBC)
		add("signed by a given leaf without basic constraints", list(n), list(cert("joe", n)))
		k := cert("ca", nil, ca, usage(x509.KeyUsageDigitalSignature))
		add("signed by a CA whose key is not for certificates", list(k), list(leaf(k)))
		add("version 1, signed by a CA whose key is not for certificates", list(k), list(leaf(k, v1)))
		o := cert("ca", nil, v1)
		add("signed by a given version 1", list(o), list(leaf(o)))
		add("version 1, signed by a given version 1", list(o), list(leaf(o, v1)))
		two := cert("ca", nil, v2)
		add("version 1, signed by a given version 2", list(two), list(leaf(two, v1)))
	}
	for _, f := range []struct {
		p string
		o []opt
	}{{"", nil}, {"version 1, ", []opt{v1}}} {
		p, o := f.p, f.o
		add(p+"behind an intermediate", list(root), list(leaf(mid, o...), mid))
		add(p+"intermediate not sent", list(root), list(leaf(mid, o...)))
		i1 := cert("mid", root, v1)
		add(p+"behind a version 1 intermediate", list(root), list(leaf(i1, o...), i1))
		if0 := cert("mid", root)
		add(p+"behind an intermediate that is no CA", list(root), list(leaf(if0, o...), if0))
		ik := cert("mid", root, ca, usage(x509.KeyUsageDigitalSignature))
		add(p+"behind an intermediate whose key is not for certificates", list(root), list(leaf(ik, o...), ik))
		low := cert("low", mid, ca)
		add(p+"behind two, in the wrong order, one not needed", list(root), list(leaf(low, o...), mid, cert("other", root, ca), low))
		r0 := cert("ca", nil, ca, path(0))
		m0 := cert("mid", r0, ca)
		add(p+"root with path length 0, no intermediate", list(r0), list(leaf(r0, o...)))
		add(p+"root with path length 0, one intermediate", list(r0), list(leaf(m0, o...), m0))
		mp := cert("mid", root, ca, path(0))
		lp := cert("low", mp, ca)
		add(p+"intermediate with path length 0, another below", list(root), list(leaf(lp, o...), lp, mp))
		add(p+"expired", list(root), list(leaf(root, append(o, past)...)))
		add(p+"not yet valid", list(root), list(leaf(root, append(o, future)...)))
		re := cert("ca", nil, ca, past)
		add(p+"expired root", list(re), list(leaf(re, o...)))
		rk := ec()
		old, prolonged := cert("ca", nil, ca, past, with(rk)), cert("ca", nil, ca, with(rk))
		add(p+"root prolonged, both given", list(old, prolonged), list(leaf(prolonged, o...)))
		me := cert("mid", root, ca, past)
		add(p+"expired intermediate", list(root), list(leaf(me, o...), me))
		for _, u := range []struct {
			n string
			o opt
		}{{"servers", server}, {"clients", client}, {"anything", anyUse}, {"something unknown", odd}} {
			if p == "" {
				add("for "+u.n, list(root), list(leaf(root, u.o)))
			}
			ru := cert("ca", nil, ca, u.o)
			add(p+"root for "+u.n, list(ru), list(leaf(ru, o...)))
			mu := cert("mid", root, ca, u.o)
			add(p+"intermediate for "+u.n, list(root), list(leaf(mu, o...), mu))
		}
		rx := cert("ca", nil, ca, ext(true))
		add(p+"unknown critical extension of the root", list(rx), list(leaf(rx, o...)))
		mx := cert("mid", root, ca, ext(true))
		add(p+"unknown critical extension of the intermediate", list(root), list(leaf(mx, o...), mx))
		other := cert("ca", nil, ca)
		add(p+"a CA of the same name and another key", list(other), list(leaf(root, o...)))
		add(p+"two CAs of the same name, the second signs", list(other, root), list(leaf(root, o...)))
		add(p+"spoilt signature", list(root), list(leaf(root, append(o, spoil)...)))
		add(p+"spoilt signature of the intermediate", list(root), func() []*made {
			m := cert("mid", root, ca, spoil)
			return list(leaf(m, o...), m)
		}())
		// Cross-signed: the first of the same name and key leads nowhere.
		k := ec()
		lost := cert("mid", other, ca, with(k))
		found := cert("mid", root, ca, with(k))
		add(p+"cross-signed, the first leads to a CA of the same name", list(root), list(leaf(found, o...), lost, found))
		add(p+"signed with SHA-1", list(root), list(leaf(root, append(o, func(s *spec) { s.sha1 = true })...)))
		r1 := cert("ca", nil, ca, rsaKey(1024))
		add(p+"CA with RSA of 1024 bits", list(r1), list(leaf(r1, func(s *spec) {
			for _, f := range o {
				f(s)
			}
		})))
		add(p+"RSA of 1024 bits", list(root), list(leaf(root, append(o, rsaKey(1024))...)))
		rn := cert("ca", nil, ca, only("good.test"))
		add(p+"CA that allows some names, none in it", list(rn), list(leaf(rn, o...)))
		if p == "" {
			add("CA that allows some names, one of these", list(rn), list(leaf(rn, dns("a.good.test"))))
			add("CA that allows some names, another", list(rn), list(leaf(rn, dns("a.bad.test"))))
			add("says it is a CA, CA that allows some names, another", list(rn), list(leaf(rn, ca, dns("a.bad.test"))))
		}
	}
	add("says it is a CA, for servers", list(root), list(leaf(root, ca, server)))
	add("says it is a CA, expired", list(root), list(leaf(root, ca, past)))
	add("says it is a CA, behind an intermediate", list(root), list(leaf(mid, ca), mid))
	add("says it is a CA, unknown critical extension", list(root), list(leaf(root, ca, ext(true))))
	{
		// A CA:TRUE leaf below a path length of 0: the leaf itself does not count.
		r0 := cert("ca", nil, ca, path(0))
		add("says it is a CA, root with path length 0", list(r0), list(leaf(r0, ca)))
	}
	add("unknown critical extension", list(root), list(leaf(root, ext(true))))
	add("unknown extension", list(root), list(leaf(root, ext(false))))
	add("purposes that cannot be read", list(root), list(leaf(root, badUsage)))
	add("empty list of purposes", list(root), list(leaf(root, noUsage)))
	add("critical certificate policies", list(root), list(leaf(root, policies)))
	add("version 1, no CA given", list(leaf(nil)), list(leaf(root, v1)))
	add("two algorithms named", list(root), list(leaf(root, func(s *spec) { s.inner = true })))
	for _, f := range []struct {
		p string
		o []opt
	}{{"", nil}, {"version 1, ", []opt{v1}}} {
		add(f.p+"until 9999", list(root), list(leaf(root, append(f.o, forever)...)))
		add(f.p+"serial number 0", list(root), list(leaf(root, append(f.o, serial(big.NewInt(0)))...)))
		add(f.p+"negative serial number", list(root), list(leaf(root, append(f.o, serial(big.NewInt(-7)))...)))
		long := new(big.Int).Lsh(big.NewInt(1), 190)
		add(f.p+"serial number of 24 bytes", list(root), list(leaf(root, append(f.o, serial(long))...)))
	}
	{
		// Go takes these for one that is in the chain already.
		k := ec()
		add("says it is a CA, made anew with the key of the one given", list(cert("jane", nil, ca, with(k))), list(leaf(nil, ca, with(k))))
		add("version 1, made anew with the key of the one given", list(cert("jane", nil, v1, with(k))), list(leaf(nil, v1, with(k))))
	}
	// Keys and algorithms, on the version 1 side too: it is our own code there.
	for _, k := range []struct {
		n string
		k opt
		o []opt
	}{
		{"P-384", with(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))), nil},
		{"P-521", with(must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))), nil},
		{"Ed25519", with(func() crypto.Signer { _, k, _ := ed25519.GenerateKey(rand.Reader); return k }()), nil},
		{"RSA of 2048 bits", rsaKey(2048), nil},
		{"RSA-PSS", rsaKey(2048), []opt{alg(x509.SHA256WithRSAPSS)}},
	} {
		r := cert("ca", nil, append([]opt{ca, k.k}, k.o...)...)
		add("CA with "+k.n, list(r), list(leaf(r, k.o...)))
		add("says it is a CA, CA with "+k.n, list(r), list(leaf(r, append(k.o, ca)...)))
	}
	for _, n := range []int{14, 20} {
		junk := list()
		for range n {
			junk = append(junk, cert("mid", root, ca))
		}
		add(fmt.Sprintf("version 1, behind %d of the same name and another key", n), list(root),
			append(append(list(leaf(mid, v1)), junk...), mid))
	}

	out := must(os.Create("cases.txt"))
	for _, c := range cases {
		use := "client"
		eku := x509.ExtKeyUsageClientAuth
		if c.server {
			use, eku = "server", x509.ExtKeyUsageServerAuth
		}
		fmt.Fprintf(out, "# %s\n", c.name)
		for i, l := range [][]*made{c.given, c.shown} {
			fmt.Fprintln(out, []string{"given", "shown"}[i])
			for _, m := range l {
				must(0, pem.Encode(out, &pem.Block{Type: "CERTIFICATE", Bytes: m.der}))
			}
		}
		fmt.Printf("%-70q %s %s\n", c.name, use, verdict(c, eku))
	}
}

func verdict(c kase, eku x509.ExtKeyUsage) string {
	pool := func(l []*made) (*x509.CertPool, error) {
		p := x509.NewCertPool()
		for _, m := range l {
			x, err := x509.ParseCertificate(m.der)
			if err != nil {
				return nil, err
			}
			p.AddCert(x)
		}
		return p, nil
	}
	roots, err := pool(c.given)
	if err != nil {
		return "NO  " + err.Error()
	}
	mids, err := pool(c.shown[1:])
	if err != nil {
		return "NO  " + err.Error()
	}
	x, err := x509.ParseCertificate(c.shown[0].der)
	if err != nil {
		return "NO  " + err.Error()
	}
	_, err = x.Verify(x509.VerifyOptions{Roots: roots, Intermediates: mids, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{eku}})
	if err != nil {
		return "NO  " + err.Error()
	}
	return "yes"
}
