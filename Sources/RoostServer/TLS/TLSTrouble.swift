internal import NIOSSL

/// What went wrong with TLS, in words that help an operator.
enum TLSTrouble {
    /// Nil for what is no error of TLS.
    static func text(_ error: any Error) -> String? {
        switch error {
        case NIOSSLError.uncleanShutdown, is NIOSSLCloseTimedOutError: "closed by the other end"
        case let error as NIOSSLError: words("\(error)")
        case let error as BoringSSLError: words("\(error)")
        case let error as CertificateError: error.description
        default: nil
        }
    }

    /// By the reasons that BoringSSL gives, in capitals.
    private static let reasons: [(part: String, text: String)] = [
        ("ALERT_UNKNOWN_CA", "the other end does not know the CA of this node's certificate"),
        ("ALERT_CERTIFICATE_EXPIRED", "this node's certificate has expired"),
        ("ALERT_CERTIFICATE_REQUIRED", "the other end wants a certificate"),
        ("ALERT_CERTIFICATE_UNKNOWN", "the other end does not take this node's certificate"),
        ("ALERT_BAD_CERTIFICATE", "the other end does not take this node's certificate"),
        ("ALERT_PROTOCOL_VERSION", "the other end speaks another version of TLS"),
        ("CERTIFICATE_VERIFY_FAILED", "the other end's certificate is not of this cluster's CA, or not valid now"),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "the other end shows no certificate"),
        ("UNSUPPORTED_PROTOCOL", "the other end speaks no TLS 1.3"),
        ("WRONG_VERSION_NUMBER", "the other end speaks no TLS: is security.peer_tls \"off\" there?"),
        ("HTTP_REQUEST", "the other end speaks HTTP, not TLS"),
        ("EOF during handshake", "closed by the other end while TLS shook hands"),
    ]

    private static func words(_ text: String) -> String {
        reasons.first { text.contains($0.part) }?.text ?? "TLS: \(text)"
    }
}
