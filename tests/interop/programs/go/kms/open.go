package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"errors"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// errEnvelope says no more: what is wrong with an envelope would help whoever made it.
var errEnvelope = errors.New("the envelope does not open with this key")

// Open returns what is in CiphertextForRecipient: CMS EnvelopedData in BER, a content key under
// RSAES-OAEP with SHA-256, the content under AES-256-CBC with it.
func Open(envelope []byte, key *rsa.PrivateKey) ([]byte, error) {
	packet, err := ber.DecodePacketErr(envelope)
	if err != nil {
		return nil, errEnvelope
	}
	encryptedKey := at(packet, 1, 0, 1, 0, 3)
	iv := at(packet, 1, 0, 2, 1, 1)
	content := at(packet, 1, 0, 2, 2)
	if encryptedKey == nil || iv == nil || content == nil {
		return nil, errEnvelope
	}
	contentKey, err := rsa.DecryptOAEP(sha256.New(), nil, key, bytesOf(encryptedKey), nil)
	if err != nil {
		return nil, errEnvelope
	}
	return decryptCBC(contentKey, bytesOf(iv), bytesOf(content))
}

func at(packet *ber.Packet, path ...int) *ber.Packet {
	for _, index := range path {
		if index >= len(packet.Children) {
			return nil
		}
		packet = packet.Children[index]
	}
	return packet
}

// bytesOf returns the bytes of a string in either of its forms: whole, or in pieces.
func bytesOf(packet *ber.Packet) []byte {
	if len(packet.Children) == 0 {
		return packet.Data.Bytes()
	}
	var whole []byte
	for _, piece := range packet.Children {
		whole = append(whole, piece.Data.Bytes()...)
	}
	return whole
}

func decryptCBC(key, iv, encrypted []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	size := len(encrypted)
	if err != nil || len(iv) != aes.BlockSize || size == 0 || size%aes.BlockSize != 0 {
		return nil, errEnvelope
	}
	plain := make([]byte, size)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, encrypted)
	padding := int(plain[size-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, errEnvelope
	}
	if !bytes.Equal(plain[size-padding:], bytes.Repeat(plain[size-1:], padding)) {
		return nil, errEnvelope
	}
	return plain[:size-padding], nil
}
