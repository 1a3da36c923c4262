internal import Foundation

/// Standard output and error, a line at a time. Lines of several threads do not mix.
enum Console {
    static func error(_ line: String) { write("roost: \(line)\n", to: 2) }
    static func note(_ line: String) { write(line + "\n", to: 2) }
    static func out(_ line: String) { write(line + "\n", to: 1) }
    static func out(_ bytes: [UInt8]) { write(bytes, to: 1) }

    /// Where one of the three was closed by who started the process, the next file opened would take its number, and
    /// what is printed. To be called before any is opened.
    static func occupy() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            _ = open("/dev/null", O_RDWR)
        }
    }

    static var errorIsTerminal: Bool { isatty(2) == 1 }

    static func write(_ text: String, to descriptor: Int32) { write(Array(text.utf8), to: descriptor) }

    /// Whether all is written. For a console that may be ignored: there is nobody left to tell.
    @discardableResult
    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        lock.withLock {
            var start = 0
            while start < bytes.count {
                let count = bytes[start...].withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
                if count > 0 {
                    start += count
                } else if count < 0, errno == EINTR {
                    continue
                } else {
                    return false
                }
            }
            return true
        }
    }

    private static let lock = NSLock()

    /// Columns as wide as their widest cell, two spaces apart.
    static func table(_ header: [String], _ rows: [[String]]) -> [String] {
        let all = [header] + rows
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            return line
        }
    }
}
