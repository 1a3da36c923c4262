import Foundation

/// The repository's own files.
enum SourceTree {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static let sources = files(in: "Sources")
    static let tests = files(in: "Tests")

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    private static func files(in folder: String) -> [SourceFile] {
        let base = root.appendingPathComponent(folder).resolvingSymlinksInPath().path
        let names = FileManager.default.enumerator(atPath: base)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix(".swift") }.sorted().compactMap { name in
            guard let text = try? String(contentsOfFile: base + "/" + name, encoding: .utf8) else { return nil }
            return SourceFile(path: folder + "/" + name, text: text)
        }
    }
}

struct SourceFile: Sendable {
    /// From the repository's root.
    let path: String
    let code: [String]
    let comments: [String]

    init(path: String, text: String) {
        self.path = path
        let taken = SwiftText(text)
        code = taken.code
        comments = taken.comments
    }

    /// The folder behind `Sources/` or `Tests/`.
    var module: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }

    var imports: [(line: Int, module: String)] {
        code.enumerated().compactMap { index, line in
            let words = line.split(separator: " ")
            guard let place = words.firstIndex(of: "import"), words.count > place + 1,
                words[..<place].allSatisfy({ $0.hasPrefix("@") || Self.levels.contains(String($0)) })
            else { return nil }
            let isKind = Self.kinds.contains(String(words[place + 1])) && words.count > place + 2
            let name = words[place + (isKind ? 2 : 1)]
            return (index + 1, String(name.split(separator: ".")[0]))
        }
    }
    private static let levels: Set = ["public", "package", "internal", "fileprivate", "private"]
    private static let kinds: Set = ["struct", "class", "enum", "func", "protocol", "typealias", "var", "let"]

    /// `path:line` of each line of code in which `pattern` is found.
    func places(_ pattern: String) throws -> [Place] {
        let regex = try Regex(pattern)
        return code.enumerated().compactMap { index, line in
            line.firstMatch(of: regex) == nil ? nil : Place(path: path, line: index + 1, code: line)
        }
    }

    /// Whether a comment stands within `count` lines.
    func isExplained(_ line: Int, within count: Int) -> Bool {
        let first = max(0, line - 1 - count)
        return comments[first..<min(comments.count, line + count)].contains { $0.contains { $0.isLetter } }
    }
}

struct Place: Sendable, CustomStringConvertible {
    var path: String
    var line: Int
    var code: String
    var description: String { "\(path):\(line): \(code.trimmingCharacters(in: .whitespaces))" }
}

/// What a rule lets through, and why.
struct Allowed {
    let path: String
    let code: String
    let reason: String

    init(_ path: String, _ code: String, because reason: String) {
        self.path = path
        self.code = code
        self.reason = reason
    }

    func covers(_ place: Place) -> Bool { place.path == path && place.code.contains(code) }
}

extension [Place] {
    func except(_ list: [Allowed]) -> [Place] { filter { place in !list.contains { $0.covers(place) } } }
}
