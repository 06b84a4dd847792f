//! CRC32c (Castagnoli), as RFC 4960 appendix B has it: bit by bit, for the few hundred bytes of a header.

/// The polynomial 0x1EDC6F41, its bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The checksum of the bytes of all parts together.
pub(super) fn crc32c(parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().copied().flatten();
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn the_check_value_of_the_catalogue_and_the_examples_of_rfc_3720_come_out() {
    assert_eq!(crc32c(&[b"1234", b"56789"]), 0xE306_9283);
    assert_eq!(crc32c(&[&[0; 32]]), 0x8A91_36AA);
    assert_eq!(crc32c(&[&[0xFF; 32]]), 0x62A8_AB43);
    assert_eq!(crc32c(&[]), 0);
}
