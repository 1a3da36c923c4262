internal import Glibc

/// libFuzzer's own main calls a function of a fixed name; SwiftPM wants a main of ours, so its driver is called by hand.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

@main
enum Main {
    static func main() {
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        exit(
            runDriver(&count, &arguments) { start, count in
                // libFuzzer keeps the input on which the process ends: so a broken rule becomes a finding.
                if let flaw = FuzzedInput.flaw(in: UnsafeBufferPointer(start: start, count: count)) { fatalError(flaw) }
                return 0
            })
    }
}
