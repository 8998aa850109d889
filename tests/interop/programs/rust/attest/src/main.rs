//! An enclave program of AWS's NSM crate and the vsock crates, blocking and under tokio.
//!
//!     attest dial|dial-tokio PORT KEY     attest to the public key in the file KEY,
//!                                         send the document to CID 3
//!     attest listen|listen-tokio PORT     accept one connection and answer what it says

use std::error::Error;
use std::net::Shutdown;
use std::{env, fs, io, process};

use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use aws_nitro_enclaves_nsm_api::driver::{nsm_exit, nsm_init, nsm_process_request};
use serde_bytes::ByteBuf;
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener, VsockStream};

const PARENT_CID: u32 = 3;

// tokio-vsock's stream has std's Read and Write beside tokio's: each function imports its own.

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    match arguments[..] {
        ["dial", port, key] => dial(&attest(key)?, port.parse()?),
        ["dial-tokio", port, key] => runtime.block_on(dial_tokio(&attest(key)?, port.parse()?)),
        ["listen", port] => listen(port.parse()?),
        ["listen-tokio", port] => runtime.block_on(listen_tokio(port.parse()?)),
        _ => Err("usage: attest dial[-tokio] PORT KEY | attest listen[-tokio] PORT".into()),
    }
}

fn attest(key: &str) -> Outcome<Vec<u8>> {
    let public_key = fs::read(key)?;
    let nsm = nsm_init();
    if nsm < 0 {
        return Err("/dev/nsm does not open".into());
    }
    match nsm_process_request(nsm, Request::DescribeNSM) {
        Response::DescribeNSM { module_id, .. } => println!("module_id {module_id}"),
        other => return Err(format!("DescribeNSM: {other:?}").into()),
    }
    println!("cid {}", vsock::get_local_cid()?);
    let request = Request::Attestation {
        user_data: None,
        nonce: None,
        public_key: Some(ByteBuf::from(public_key)),
    };
    let response = nsm_process_request(nsm, request);
    nsm_exit(nsm);
    match response {
        Response::Attestation { document } => {
            println!("document {}", document.len());
            Ok(document)
        }
        other => Err(format!("Attestation: {other:?}").into()),
    }
}

fn dial(document: &[u8], port: u32) -> Outcome<()> {
    use std::io::{Read, Write};
    let mut stream = connected(vsock::VsockStream::connect_with_cid_port(PARENT_CID, port));
    print_address("peer", stream.peer_addr()?);
    stream.write_all(document)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!("answer {answer}");
    Ok(())
}

async fn dial_tokio(document: &[u8], port: u32) -> Outcome<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let parent = VsockAddr::new(PARENT_CID, port);
    let mut stream = connected(VsockStream::connect(parent).await);
    print_address("peer", stream.peer_addr()?);
    stream.write_all(document).await?;
    AsyncWriteExt::shutdown(&mut stream).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    println!("answer {answer}");
    Ok(())
}

fn listen(port: u32) -> Outcome<()> {
    use std::io::{Read, Write};
    let listener = vsock::VsockListener::bind_with_cid_port(VMADDR_CID_ANY, port)?;
    print_address("listening", listener.local_addr()?);
    let (mut stream, peer) = listener.accept()?;
    println!("accepted {}", peer.cid());
    let mut heard = String::new();
    stream.read_to_string(&mut heard)?;
    println!("heard {heard}");
    stream.write_all(b"hello, parent")?;
    Ok(())
}

async fn listen_tokio(port: u32) -> Outcome<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, port))?;
    print_address("listening", listener.local_addr()?);
    let (mut stream, peer) = listener.accept().await?;
    println!("accepted {}", peer.cid());
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await?;
    println!("heard {heard}");
    stream.write_all(b"hello, parent").await?;
    Ok(())
}

/// The stream; where nobody listens the program says with which errno it was told so.
fn connected<T>(outcome: io::Result<T>) -> T {
    outcome.unwrap_or_else(|error| {
        println!("errno {}", error.raw_os_error().unwrap_or(0));
        process::exit(3)
    })
}

fn print_address(name: &str, address: VsockAddr) {
    println!("{name} {}:{}", address.cid() as i32, address.port());
}
