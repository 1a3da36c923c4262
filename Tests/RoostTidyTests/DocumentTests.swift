import Foundation
import Testing

/// The documents say what the code says.
@Suite struct DocumentTests {
    @Test func dependenciesHaveTheirReason() throws {
        let manifest = try SourceTree.text("Package.swift")
        let document = try SourceTree.text("docs/dependencies.md")
        let names = manifest.matches(of: /\.package\(url: "https:\/\/github.com\/[\w.-]+\/([\w.-]+)"/).map {
            String($0.1)
        }
        #expect(names.count > 5)
        for name in names {
            #expect(document.contains("| `\(name)` |"), "docs/dependencies.md: no line for \(name)")
        }
        for row in document.matches(of: /\| `([\w.-]+)` \|/) where !names.contains(String(row.1)) {
            Issue.record("docs/dependencies.md: \(row.1) is no dependency")
        }
    }

    /// Each knob of `cluster.json`: a row with its default and its range.
    @Test func knobsHaveTheirRow() throws {
        let knobs = try SourceTree.text("Sources/RoostServer/Configuration/ConfigKnobs.swift")
        let config = try SourceTree.text("Sources/RoostNode/ClusterConfig.swift")
        let document = try SourceTree.text("docs/configuration.md")
        let found = knobs.matches(of: /\.init\("(\w+)", \\\.(\w+), ([\d_]+)\.\.\.([\d_]+)\)/)
        #expect(found.count > 20)
        for knob in found {
            let (key, property) = (knob.1, knob.2)
            let low = knob.3.filter { $0 != "_" }
            let high = knob.4.filter { $0 != "_" }
            guard let row = document.split(separator: "\n").first(where: { $0.hasPrefix("| `\(key)` |") }) else {
                Issue.record("docs/configuration.md: no row for \(key)")
                continue
            }
            let columns = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            let pattern = try Regex<(Substring, Substring)>("var \(property)(?:: Int)? = ([\\d_]+)")
            let value = try #require(config.firstMatch(of: pattern), "ClusterConfig has no default for \(property)")
            #expect(columns[1] == String(value.1).filter { $0 != "_" }, "\(key): the default")
            #expect(columns.contains("\(low) to \(high)"), "\(key): the range is \(low) to \(high)")
            #expect(columns.last?.isEmpty == false, "\(key): the reason")
        }
        for key in ["admin_host", "admin_token", "cluster", "replication", "partitions", "nodes"] {
            #expect(document.contains("| `\(key)` |"), "docs/configuration.md: no row for \(key)")
        }
    }

    /// Links within the repository lead somewhere.
    @Test func linksLeadSomewhere() throws {
        var documents = ["README.md", "CONTRIBUTING.md"]
        let folder = SourceTree.root.appendingPathComponent("docs").resolvingSymlinksInPath().path
        documents += (FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? [])
            .filter { $0.hasSuffix(".md") }.map { "docs/" + $0 }
        #expect(documents.count > 5)
        for document in documents.sorted() {
            let base = SourceTree.root.appendingPathComponent(document).deletingLastPathComponent()
            for link in try SourceTree.text(document).matches(of: /\]\(([^)#\s]+)(?:#[^)]*)?\)/)
            where !link.1.contains("://") {
                let path = base.appendingPathComponent(String(link.1)).path
                #expect(FileManager.default.fileExists(atPath: path), "\(document): \(link.1)")
            }
        }
    }
}
