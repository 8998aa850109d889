// An enclave program of hf/nsm and mdlayher/vsock, static.
//
//	attest dial PORT KEY    attest to the public key in the file KEY, send the document to CID 3
//	attest listen PORT      accept one connection and answer what it says
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"syscall"

	"github.com/hf/nsm"
	"github.com/hf/nsm/request"
	"github.com/mdlayher/vsock"
)

const parentCID = 3

func main() {
	switch {
	case len(os.Args) == 4 && os.Args[1] == "dial":
		dial(attest(os.Args[3]), port(os.Args[2]))
	case len(os.Args) == 3 && os.Args[1] == "listen":
		listen(port(os.Args[2]))
	default:
		log.Fatal("usage: attest dial PORT KEY | attest listen PORT")
	}
}

func port(text string) uint32 {
	return uint32(must(strconv.ParseUint(text, 10, 32)))
}

func attest(key string) []byte {
	publicKey := must(os.ReadFile(key))
	session := must(nsm.OpenDefaultSession())
	defer session.Close()
	described := must(session.Send(&request.DescribeNSM{}))
	if described.DescribeNSM == nil {
		log.Fatal("DescribeNSM: ", described.Error)
	}
	fmt.Println("module_id", described.DescribeNSM.ModuleID)
	fmt.Println("cid", must(vsock.ContextID()))
	attested := must(session.Send(&request.Attestation{PublicKey: publicKey}))
	if attested.Attestation == nil {
		log.Fatal("Attestation: ", attested.Error)
	}
	fmt.Println("document", len(attested.Attestation.Document))
	return attested.Attestation.Document
}

func dial(document []byte, port uint32) {
	connection, err := vsock.Dial(parentCID, port, nil)
	var errno syscall.Errno
	if errors.As(err, &errno) {
		fmt.Println("errno", int(errno))
		os.Exit(3)
	}
	must(connection, err)
	printAddress("peer", connection.RemoteAddr().(*vsock.Addr))
	must(connection.Write(document))
	must(0, connection.CloseWrite())
	fmt.Println("answer", string(must(io.ReadAll(connection))))
}

func listen(port uint32) {
	listener := must(vsock.Listen(port, nil))
	printAddress("listening", listener.Addr().(*vsock.Addr))
	connection := must(listener.Accept())
	fmt.Println("accepted", connection.RemoteAddr().(*vsock.Addr).ContextID)
	fmt.Println("heard", string(must(io.ReadAll(connection))))
	must(connection.Write([]byte("hello, parent")))
	must(0, connection.Close())
}

func printAddress(name string, address *vsock.Addr) {
	fmt.Printf("%s %d:%d\n", name, int32(address.ContextID), address.Port)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
