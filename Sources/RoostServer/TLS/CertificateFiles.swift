internal import Foundation

/// What a node shows the others and by what it knows them, as files of one directory: `ca.pem`, `{node}.pem` and
/// `{node}.key`.
package struct CertificateFiles: Sendable, Equatable {
    package let directory: String
    package let name: String

    package init(directory: String, name: String) {
        self.directory = directory
        self.name = name
    }

    /// Of the CA, or of several while one takes the place of another.
    package var authority: String { directory + "/ca.pem" }
    package var certificate: String { "\(directory)/\(name).pem" }
    package var key: String { "\(directory)/\(name).key" }
    package var isThere: Bool { FileManager.default.fileExists(atPath: certificate) }

    /// Each file is there whole or as it was. Who reads the key and the certificate at the very moment when one is new
    /// finds that they don't fit, and reads again.
    package func write(authorityPEM: String, certificatePEM: String, keyPEM: String) throws(CertificateError) {
        try PrivateFile.makeDirectory(directory)
        try PrivateFile.write(keyPEM, to: key)
        try PrivateFile.write(authorityPEM, to: authority)
        try PrivateFile.write(certificatePEM, to: certificate)
    }
}

/// Files that are for this user alone.
enum PrivateFile {
    /// Larger ones are no certificates.
    static let maxBytes = 1_048_576

    static func makeDirectory(_ path: String) throws(CertificateError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw CertificateError("\(path) can't be made: \(reason(errno))")
        }
    }

    static func read(_ path: String) throws(CertificateError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CertificateError("\(path) can't be read: \(reason(errno))") }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        guard let data = try? file.read(upToCount: maxBytes + 1) ?? Data() else {
            throw CertificateError("\(path) can't be read")
        }
        guard data.count <= maxBytes else { throw CertificateError("\(path) is larger than 1 MiB") }
        return Array(data)
    }

    /// By way of a new file that takes the old one's place.
    static func write(_ text: String, to path: String) throws(CertificateError) {
        let temporary = "\(path).\(getpid())"
        unlink(temporary)
        let descriptor = open(temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw CertificateError("\(temporary) can't be written: \(reason(errno))") }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        do {
            try file.write(contentsOf: Data(text.utf8))
            try file.synchronize()
        } catch {
            unlink(temporary)
            throw CertificateError("\(temporary) can't be written: \(error.localizedDescription)")
        }
        guard rename(temporary, path) == 0 else {
            let why = reason(errno)
            unlink(temporary)
            throw CertificateError("\(path) can't be written: \(why)")
        }
    }

    private static func reason(_ code: Int32) -> String { ConnectionTrouble.words(code) }
}
