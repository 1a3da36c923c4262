/// A Swift source taken apart: the code alone, the comments alone, line by line.
struct SwiftText {
    /// Each line without comments, and with strings emptied (`"` and `"` stay, code in `\( )` too).
    private(set) var code: [String] = []
    /// Each line's comments.
    private(set) var comments: [String] = []

    private enum Mode {
        case code
        /// Of code within a string; the depth of its parentheses.
        case interpolation(Int)
        /// How many `#` stand before its quotes, and whether there are three of them.
        case string(hashes: Int, long: Bool)
        case lineComment
        case blockComment(Int)
    }

    private let bytes: [UInt8]
    private var at = 0
    private var modes: [Mode] = [.code]
    private var codeLine: [UInt8] = []
    private var commentLine: [UInt8] = []

    init(_ text: String) {
        bytes = Array(text.utf8)
        while at < bytes.count {
            if bytes[at] == UInt8(ascii: "\n") { endLine() } else { step() }
            at += 1
        }
        if !codeLine.isEmpty || !commentLine.isEmpty { endLine() }
    }

    private mutating func endLine() {
        if case .lineComment = mode { modes.removeLast() }
        code.append(String(decoding: codeLine, as: UTF8.self))
        comments.append(String(decoding: commentLine, as: UTF8.self))
        codeLine.removeAll()
        commentLine.removeAll()
    }

    private var mode: Mode { modes.last ?? .code }

    /// Takes one token, and leaves `at` on its last byte.
    private mutating func step() {
        switch mode {
        case .lineComment: commentLine.append(bytes[at])
        case .blockComment(let depth): stepComment(depth)
        case .string(let hashes, let long): stepString(hashes, long)
        case .code, .interpolation: stepCode()
        }
    }

    private mutating func stepComment(_ depth: Int) {
        if has("/*") {
            modes[modes.count - 1] = .blockComment(depth + 1)
            at += 1
        } else if has("*/") {
            if depth == 1 { modes.removeLast() } else { modes[modes.count - 1] = .blockComment(depth - 1) }
            at += 1
        } else {
            commentLine.append(bytes[at])
        }
    }

    private mutating func stepString(_ hashes: Int, _ long: Bool) {
        let marks = String(repeating: "#", count: hashes)
        let quotes = long ? "\"\"\"" : "\""
        if has("\\" + marks) {
            at += hashes + 1
            if at < bytes.count, bytes[at] == UInt8(ascii: "(") {
                codeLine.append(bytes[at])
                modes.append(.interpolation(1))
            } else if at < bytes.count, bytes[at] == UInt8(ascii: "\n") {
                endLine()
            }
        } else if has(quotes + marks) {
            at += quotes.utf8.count + hashes - 1
            codeLine.append(UInt8(ascii: "\""))
            modes.removeLast()
        }
    }

    private mutating func stepCode() {
        if has("//") { return modes.append(.lineComment) }
        if has("/*") {
            at += 1
            return modes.append(.blockComment(1))
        }
        if let (hashes, long) = openingQuote() {
            at += hashes + (long ? 3 : 1) - 1
            codeLine.append(UInt8(ascii: "\""))
            return modes.append(.string(hashes: hashes, long: long))
        }
        codeLine.append(bytes[at])
        guard case .interpolation(let depth) = mode else { return }
        if bytes[at] == UInt8(ascii: "(") { modes[modes.count - 1] = .interpolation(depth + 1) }
        guard bytes[at] == UInt8(ascii: ")") else { return }
        if depth == 1 { modes.removeLast() } else { modes[modes.count - 1] = .interpolation(depth - 1) }
    }

    private func openingQuote() -> (hashes: Int, long: Bool)? {
        var place = at
        while place < bytes.count, bytes[place] == UInt8(ascii: "#") { place += 1 }
        guard place < bytes.count, bytes[place] == UInt8(ascii: "\"") else { return nil }
        let long = bytes[place...].starts(with: "\"\"\"".utf8)
        return (place - at, long)
    }

    private func has(_ text: String) -> Bool { bytes[at...].starts(with: text.utf8) }
}
