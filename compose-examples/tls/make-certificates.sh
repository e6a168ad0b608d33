#!/bin/sh
# Certificates to try TLS with: an authority of your own, and one certificate for each service.
set -eu
cd "$(dirname "$0")"
mkdir -p certificates
cd certificates
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=an authority of my own" \
  -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout authority.key -out authority.crt 2>/dev/null
for name in lightspeed-stack llama-stack; do
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$name.key" -out "$name.csr" 2>/dev/null
  printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n' "$name" >"$name.ext"
  openssl x509 -req -in "$name.csr" -CA authority.crt -CAkey authority.key -CAcreateserial -days 365 \
    -extfile "$name.ext" -out "$name.crt" 2>/dev/null
  rm "$name.csr" "$name.ext"
done
# The containers' user is nobody of this machine.
chmod 644 ./*.key ./*.crt
echo "made: $(ls ./*.crt | tr '\n' ' ')"
