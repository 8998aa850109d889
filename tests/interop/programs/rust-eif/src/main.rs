//! What AWS's library makes of an enclave image file: builds, describes, signs and checks one.
//!
//!   eif-judge build SPEC.json
//!   eif-judge describe IMAGE
//!   eif-judge sign IMAGE CERTIFICATE KEY
//!   eif-judge check IMAGE
//!
//! Each prints one JSON object; `error` in it is the library's own text.

use std::fs::File;
use std::path::Path;

use aws_nitro_enclaves_image_format::defs::EifIdentityInfo;
use aws_nitro_enclaves_image_format::utils::eif_reader::EifReader;
use aws_nitro_enclaves_image_format::utils::{
    EifBuilder, EifSigner, PcrSignatureChecker, SignKeyData,
};
use serde_json::{json, Value};
use sha2::{Digest, Sha384};

type Answer = Result<Value, String>;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = match words.as_slice() {
        ["build", spec] => build(spec),
        ["describe", image] => describe(image),
        ["sign", image, certificate, key] => sign(image, certificate, key),
        ["check", image] => check(image),
        _ => panic!("build SPEC | describe IMAGE | sign IMAGE CERTIFICATE KEY | check IMAGE"),
    };
    println!("{}", answer.unwrap_or_else(|text| json!({ "error": text })));
}

fn build(spec: &str) -> Answer {
    let spec: Value = serde_json::from_reader(File::open(spec).unwrap()).unwrap();
    let text = |name: &str| spec[name].as_str().unwrap().to_string();
    let metadata: EifIdentityInfo = serde_json::from_value(spec["metadata"].clone()).unwrap();
    let key = spec["key"].as_str();
    let signer = key.map(|key| SignKeyData::new(key, Path::new(&text("certificate"))).unwrap());
    let mut builder = EifBuilder::new(
        Path::new(&text("kernel")),
        text("cmdline"),
        signer,
        Sha384::new(),
        spec["flags"].as_u64().unwrap() as u16,
        metadata,
    );
    for ramdisk in spec["ramdisks"].as_array().unwrap() {
        builder.add_ramdisk(Path::new(ramdisk.as_str().unwrap()));
    }
    let mut output = File::create(text("output")).unwrap();
    Ok(json!(builder.write_to(&mut output)))
}

fn describe(image: &str) -> Answer {
    let mut reader = EifReader::from_eif(image.to_string())?;
    let measurements = reader.get_measurements()?;
    let certificate = match measurements.contains_key("PCR8") {
        true => Some(reader.get_certificate_info(measurements.clone())?),
        false => None,
    };
    Ok(json!({
        "version": reader.get_header().version,
        "flags": reader.get_header().flags,
        "measurements": measurements,
        "crc": reader.check_crc(),
        "certificate": certificate,
        "signature": reader.sign_check,
        "metadata": reader.get_metadata(),
    }))
}

fn sign(image: &str, certificate: &str, key: &str) -> Answer {
    let data = SignKeyData::new(key, Path::new(certificate))?;
    EifSigner::new(Some(data)).unwrap().sign_image(image)?;
    Ok(json!(EifReader::from_eif(image.to_string())?.get_measurements()?))
}

fn check(image: &str) -> Answer {
    let mut checker = PcrSignatureChecker::from_eif(image)?;
    if !checker.is_empty() {
        checker.verify()?;
    }
    Ok(json!({ "signed": !checker.is_empty() }))
}
