use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use uuid::Uuid;

use super::{Cipher, KeyError, Keyring, MasterKey, Place, Sealed, SecretError};
use crate::id::OrgId;

const PLAIN: &str = "sk-planted-4711";

fn key(id: &str) -> MasterKey {
    MasterKey::random(id).expect("a key")
}

fn cipher(current: &MasterKey, previous: &[&MasterKey]) -> Cipher {
    Cipher::new(Keyring::new(current.clone(), previous.iter().map(|key| (*key).clone())).expect("a key ring"))
}

fn place() -> Place<'static> {
    Place { org: OrgId::from_uuid(Uuid::from_u128(1)), field: "provider.api_key", row: Uuid::from_u128(2) }
}

async fn seal(cipher: &Cipher) -> Sealed {
    cipher.seal(&SecretString::from(PLAIN), &place()).await.expect("a sealed value")
}

async fn opened(cipher: &Cipher, sealed: &Sealed) -> Result<String, SecretError> {
    cipher.open(sealed, &place()).await.map(|value| value.expose_secret().to_owned())
}

#[tokio::test]
async fn what_is_sealed_opens_after_it_was_stored_and_shows_nothing_before() {
    let cipher = cipher(&key("kek-v1"), &[]);
    let stored = serde_json::to_string(&seal(&cipher).await).expect("JSON");
    assert!(!stored.contains(PLAIN) && !format!("{:?}", seal(&cipher).await).contains(PLAIN), "{stored}");
    let json: Value = serde_json::from_str(&stored).expect("JSON");
    let names: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["alg", "ciphertext", "dek_wrapped", "key_id", "nonce", "version"]);
    assert_eq!((&json["alg"], &json["key_id"], &json["version"]), (&"AES-256-GCM".into(), &"kek-v1".into(), &1.into()));
    assert_eq!(opened(&cipher, &serde_json::from_str(&stored).expect("the stored form")).await.expect("the value"), PLAIN);
}

#[tokio::test]
async fn the_same_value_is_never_sealed_the_same_way() {
    let cipher = cipher(&key("kek-v1"), &[]);
    let (one, two) = (serde_json::to_value(seal(&cipher).await).expect("JSON"), serde_json::to_value(seal(&cipher).await).expect("JSON"));
    for part in ["nonce", "ciphertext", "dek_wrapped"] {
        assert_ne!(one[part], two[part], "{part}");
    }
}

#[tokio::test]
async fn it_opens_in_its_own_place_only() {
    let cipher = cipher(&key("kek-v1"), &[]);
    let sealed = seal(&cipher).await;
    for other in [
        Place { org: OrgId::from_uuid(Uuid::from_u128(3)), ..place() },
        Place { row: Uuid::from_u128(3), ..place() },
        Place { field: "provider.metadata", ..place() },
    ] {
        assert!(matches!(cipher.open(&sealed, &other).await, Err(SecretError::Broken { .. })), "{other:?}");
    }
}

#[tokio::test]
async fn a_changed_part_does_not_open() {
    let cipher = cipher(&key("kek-v1"), &[]);
    let (sealed, other) =
        (serde_json::to_value(seal(&cipher).await).expect("JSON"), serde_json::to_value(seal(&cipher).await).expect("JSON"));
    for part in ["nonce", "ciphertext", "dek_wrapped"] {
        for wrong in [other[part].clone(), "AAAA".into(), "".into(), "%".into()] {
            let mut changed = sealed.clone();
            changed[part] = wrong;
            let changed: Sealed = serde_json::from_value(changed).expect("a sealed value");
            assert!(matches!(opened(&cipher, &changed).await, Err(SecretError::Broken { .. })), "{part}");
        }
    }
    for (part, wrong) in [("version", Value::from(2)), ("alg", "none".into())] {
        let mut changed = sealed.clone();
        changed[part] = wrong;
        let changed: Sealed = serde_json::from_value(changed).expect("a sealed value");
        assert!(matches!(opened(&cipher, &changed).await, Err(SecretError::UnknownForm(_))), "{part}");
    }
}

#[tokio::test]
async fn keys_of_before_open_and_new_ones_seal() {
    let (old, new) = (key("kek-v1"), key("kek-v2"));
    let sealed = seal(&cipher(&old, &[])).await;
    let both = cipher(&new, &[&old]);
    assert_eq!(opened(&both, &sealed).await.expect("the value"), PLAIN);
    assert!(!both.is_current(&sealed).expect("a key"));
    assert_eq!(seal(&both).await.key_id(), "kek-v2");
    let refused = opened(&cipher(&new, &[]), &sealed).await.expect_err("the key is not there");
    assert_eq!(refused, SecretError::UnknownKey { key_id: "kek-v1".to_owned() });
    let impostor = opened(&cipher(&key("kek-v1"), &[]), &sealed).await.expect_err("another key of the same id");
    assert!(matches!(impostor, SecretError::Broken { .. }));
}

#[tokio::test]
async fn an_ephemeral_cipher_opens_its_own_only() {
    let (one, two) = (Cipher::ephemeral(), Cipher::ephemeral());
    let sealed = seal(&one).await;
    assert_eq!(opened(&one, &sealed).await.expect("the value"), PLAIN);
    assert!(opened(&two, &sealed).await.is_err());
}

#[test]
fn keys_are_read_as_they_are_written_and_never_shown() {
    let key = key("kek-v1");
    let text = key.to_text();
    let read: MasterKey = text.parse().expect("a key");
    assert_eq!(read.to_text(), text);
    let encoded = text.split_once(':').expect("two parts").1;
    assert!(!format!("{key:?} {:?}", cipher(&key, &[])).contains(encoded));
}

#[test]
fn texts_that_are_no_keys_are_refused() {
    let short = "kek-v1:AAAA";
    assert_eq!(short.parse::<MasterKey>().expect_err("too short"), KeyError::Size(3));
    let bytes = &key("x").to_text()[2..].to_owned();
    for (text, expected) in [("", KeyError::Form), ("kek-v1", KeyError::Form), ("kek-v1:%", KeyError::Form)] {
        assert_eq!(text.parse::<MasterKey>().expect_err(text), expected);
    }
    for id in ["", "Kek", "kek v1", "ü", &"k".repeat(65)] {
        assert_eq!(format!("{id}:{bytes}").parse::<MasterKey>().expect_err(id), KeyError::Id);
    }
    let [one, two] = [key("same"), key("same")];
    assert_eq!(Keyring::new(one.clone(), [two]).expect_err("the same id"), KeyError::SameId);
    assert!(Keyring::new(one.clone(), [one]).is_ok());
}
