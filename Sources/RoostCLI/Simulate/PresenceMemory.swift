internal import Foundation
internal import RoostSimulation

/// `roost simulate --scenario memory`: what a device costs in the presence table of a node, and a read of it.
enum PresenceMemory {
    static func run(devices: Int) {
        var rows: [[String]] = []
        for idBytes in [12, 36] {
            let before = residentBytes
            let start = ContinuousClock.now
            let fill = PresenceFill(nodes: 9, devices: devices, idBytes: idBytes)
            let filled = start.duration(to: .now).seconds
            let bytes = residentBytes - before
            let reads = 1_000_000
            let reading = ContinuousClock.now
            let found = fill.read(reads)
            let read = reading.duration(to: .now).seconds
            rows.append([
                "\(idBytes) bytes", String(devices), String(format: "%.1f", bytes / Double(devices)),
                String(format: "%.2f µs", filled / Double(devices) * 1e6),
                String(format: "%.2f µs", read / Double(reads) * 1e6), String(found),
            ])
        }
        let header = ["device id", "devices", "bytes each", "to apply", "to read a user", "found"]
        for line in Console.table(header, rows) { Console.out(line) }
    }

    private static var residentBytes: Double { Double(ProcessStats.read(getpid())?.residentBytes ?? 0) }
}
