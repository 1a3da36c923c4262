import Testing

/// The rules are worth what their reading of the sources is worth.
@Suite struct SwiftTextTests {
    @Test(arguments: [
        ("let a = 1 // try! this", "let a = 1 ", "/ try! this"),
        ("a /* x! /* y! */ z! */ b", "a  b", " x!  y!  z! "),
        (#"say("no try! here", x!)"#, #"say("", x!)"#, ""),
        (##"say(#"a "quoted" try!"#)"##, #"say("")"#, ""),
        (#"say("a \(b(c!, "d!")) e!")"#, #"say("(b(c!, ""))")"#, ""),
        (#"say("an \" escaped try!") // so"#, #"say("") "#, "/ so"),
    ])
    func oneLine(_ source: String, _ code: String, _ comment: String) {
        let text = SwiftText(source)
        #expect(text.code == [code])
        #expect(text.comments == [comment])
    }

    @Test func longString() {
        let text = SwiftText("let a = \"\"\"\n    try! \\\n    // no\n    \"\"\" + b!\nc")
        #expect(text.code == ["let a = \"", "", "", "\" + b!", "c"])
        #expect(text.comments.allSatisfy { $0.isEmpty })
    }

    @Test func imports() {
        let file = SourceFile(
            path: "Sources/A/B.swift",
            text: """
                import NIOCore
                package import struct Foundation.Data
                @testable internal import RoostModel
                // import Nothing
                func import2() {}
                """)
        #expect(file.imports.map(\.module) == ["NIOCore", "Foundation", "RoostModel"])
        #expect(file.imports.map(\.line) == [1, 2, 3])
        #expect(file.module == "A")
    }

    @Test func sourcesAreThere() {
        #expect(SourceTree.sources.count > 100)
        #expect(SourceTree.tests.contains { $0.path == "Tests/RoostTidyTests/SwiftTextTests.swift" })
    }
}
