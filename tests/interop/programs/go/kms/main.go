// An enclave program whose TLS ends in the enclave: aws-sdk-go-v2 over crypto/tls over vsock.
//
//	kms             Decrypt with an attestation document, and open what comes back
//	kms MISTAKE     one of the four mistakes that everybody makes, and what KMS says of it:
//	                no-size, no-key-encryption-algorithm, no-public-key, pkcs1
//
// CID 3, port 8000 leads to KMS, as AWS's vsock-proxy sets it up on a parent instance.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/hf/nsm"
	"github.com/hf/nsm/request"
	"github.com/mdlayher/vsock"
)

const (
	parentCID = 3
	kmsPort   = 8000
)

func main() {
	ctx := context.Background()
	mistake := ""
	if len(os.Args) > 1 {
		mistake = os.Args[1]
	}
	client := kmsClient()
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	spki := must(x509.MarshalPKIXPublicKey(&key.PublicKey))

	// A real parent hands the ciphertext over. This program makes its own, to need nobody.
	keyID := must(client.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata.KeyId
	ciphertext := must(client.Encrypt(ctx, &kms.EncryptInput{
		KeyId:     keyID,
		Plaintext: []byte("only this enclave reads me"),
	})).CiphertextBlob

	recipient := &types.RecipientInfo{
		KeyEncryptionAlgorithm: types.KeyEncryptionMechanismRsaesOaepSha256,
	}
	switch mistake {
	case "no-key-encryption-algorithm":
		recipient.KeyEncryptionAlgorithm = ""
		recipient.AttestationDocument = attest(spki)
	case "no-public-key":
		recipient.AttestationDocument = attest(nil)
	case "pkcs1":
		recipient.AttestationDocument = attest(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	default:
		recipient.AttestationDocument = attest(spki)
	}
	if mistake == "no-size" {
		_, err := client.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
			KeyId:     keyID,
			Recipient: recipient,
		})
		refused(err)
		return
	}
	answer, err := client.Decrypt(ctx, &kms.DecryptInput{
		CiphertextBlob: ciphertext,
		Recipient:      recipient,
	})
	if mistake != "" {
		refused(err)
		return
	}
	must(answer, err)
	fmt.Println("plaintext", len(answer.Plaintext))
	fmt.Println("opened", string(must(Open(answer.CiphertextForRecipient, key))))
}

// kmsClient returns a client whose every connection goes to the parent, whatever host is asked
// for: TLS, with the operating system's roots or those of SSL_CERT_FILE, shows who is behind it.
func kmsClient() *kms.Client {
	transport := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return vsock.Dial(parentCID, kmsPort, nil)
		},
	}
	return kms.New(kms.Options{
		Region:      "us-east-1",
		HTTPClient:  &http.Client{Transport: transport},
		Credentials: aws.CredentialsProviderFunc(credentials),
	})
}

func credentials(context.Context) (aws.Credentials, error) {
	return aws.Credentials{
		AccessKeyID:     variable("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: variable("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    os.Getenv("AWS_SESSION_TOKEN"),
	}, nil
}

func variable(name string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return "any"
}

func attest(publicKey []byte) []byte {
	session := must(nsm.OpenDefaultSession())
	defer session.Close()
	response := must(session.Send(&request.Attestation{PublicKey: publicKey}))
	if response.Attestation == nil {
		log.Fatal("Attestation: ", response.Error)
	}
	return response.Attestation.Document
}

// refused prints what KMS refused a request with; that it did not is an error.
func refused(err error) {
	var refusal smithy.APIError
	if !errors.As(err, &refusal) {
		log.Fatal("no refusal of KMS but: ", err)
	}
	fmt.Printf("error %s: %s\n", refusal.ErrorCode(), refusal.ErrorMessage())
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
