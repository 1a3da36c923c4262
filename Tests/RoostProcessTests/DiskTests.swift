import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    /// What happens to a node whose disk is full or damaged, and to the cluster around it.
    @Suite("Disks that fill up or go bad")
    struct DiskTests {
        private func storage(_ cluster: ProcessCluster, _ node: Int) async throws -> JSON {
            try await cluster.admin(node, "/admin/cluster").json["storage"]
        }

        private func leads(_ cluster: ProcessCluster, _ node: Int) async throws -> Int {
            let own = cluster.nodes[node].id
            return try await cluster.admin(node, "/admin/partitions").json.array.count { $0["leader"].string == own }
        }

        @Test("A full disk: the node leads nothing and serves on, and is back by itself", .timeLimit(.minutes(6)))
        func fullDisk() async throws {
            let cluster = try ProcessCluster()
            let data = cluster.directory + "/data/node-1"
            try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
            guard mount("none", data, "tmpfs", 0, "size=32m") == 0 else {
                cluster.remove()
                print("skipped: no file system of its own can be mounted here")
                return
            }
            defer {
                cluster.remove()
                umount2(data, Int32(MNT_DETACH))
            }
            try await cluster.startAll()
            let alice = try await cluster.account("alice", at: 0)
            let bob = try await cluster.account("bob", at: 1)
            let talk = try await cluster.conversation("group", alice, with: [bob], name: "talk")
            let phone = try await cluster.live(bob, "phone", at: 0)
            let desk = try await cluster.live(alice, "desk", at: 1)
            #expect(try await desk.say("before", to: talk)["op"].string == "accepted")

            let ballast = data + "/ballast"
            try Self.fill(ballast)
            var said = 1
            try await eventually("it notices", within: .seconds(30)) {
                said += 1
                #expect(try await desk.say("full \(said)", to: talk)["op"].string == "accepted")
                return try await self.storage(cluster, 0)["full"].bool == true
            }
            try await eventually("it leads nothing", within: .seconds(20)) { try await self.leads(cluster, 0) == 0 }
            #expect(try await cluster.admin(0, "/readyz").status == 200)
            // Its sessions are served: what others lead is taken and delivered there.
            let own = try await cluster.live(alice, "tablet", at: 0)
            #expect(try await own.say("from the full node", to: talk)["op"].string == "accepted")
            try await eventually("bob hears it there") { phone.contents.contains("from the full node") }
            let page = try await cluster.api(
                0, "GET", "conversations/\(talk)/messages?size=100", token: alice.token)
            #expect(page.status == 200 && page.json.array.count == said + 1)

            try FileManager.default.removeItem(atPath: ballast)
            try await eventually("there is space again", within: .seconds(20)) {
                try await self.storage(cluster, 0)["full"].bool == false
            }
            try await eventually("it leads again", within: .seconds(30)) { try await self.leads(cluster, 0) > 0 }
            #expect(try await own.say("after", to: talk)["op"].string == "accepted")
            try await eventually("bob has all of it") { phone.contents.count == said + 2 }
            #expect(try cluster.child(0).status == nil)
        }

        /// Until nothing fits any more.
        private static func fill(_ path: String) throws {
            let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
            defer { close(descriptor) }
            for size in [1 << 20, 4096] {
                let block = [UInt8](repeating: 1, count: size)
                while write(descriptor, block, size) == size {}
            }
        }

        /// The kernel makes a file system read-only whose structure it finds broken: every write fails from then on.
        @Test("A disk that turns read-only under load: as a full one; back when it is mended", .timeLimit(.minutes(6)))
        func readOnlyDisk() async throws {
            let cluster = try ProcessCluster()
            let data = cluster.directory + "/data/node-1"
            guard let disk = try LoopDisk(at: data, image: cluster.directory + "/image", megabytes: 64) else {
                cluster.remove()
                print("skipped: no ext4 of its own can be mounted here")
                return
            }
            defer {
                cluster.remove()
                disk.remove()
            }
            try await cluster.startAll()
            let alice = try await cluster.account("alice", at: 1)
            let bob = try await cluster.account("bob", at: 2)
            let talk = try await cluster.conversation("group", alice, with: [bob], name: "talk", at: 1)
            let phone = try await cluster.live(bob, "phone", at: 0)
            let load = Load(cluster, alice, "desk", to: [talk])
            try await load.run(at: 1) {
                try await eventually("some are accepted") { load.accepted.count >= 50 }
                try disk.turnReadOnly()
                try await eventually("it is noticed", within: .seconds(30)) {
                    // A sync that was under way may have failed: then nothing is known, and the process ends.
                    if let status = try cluster.child(0).status { return status == .code(74) }
                    return (try? await self.storage(cluster, 0)["full"].bool) == true
                }
                let seen = load.accepted.count
                try await eventually("the others go on") { load.accepted.count >= seen + 100 }
                do {
                    try await eventually("it leads nothing", within: .seconds(20)) {
                        try await self.leads(cluster, 0) == 0
                    }
                    #expect(try await cluster.admin(0, "/readyz").status == 200)
                    try await eventually("it delivers") { Deliveries(sessions: [phone]).has(load.accepted) }
                    let page = try await cluster.api(
                        0, "GET", "conversations/\(talk)/messages?size=100", token: bob.token)
                    #expect(page.status == 200 && page.json.array.count == 100)
                } catch {
                    guard try await cluster.child(0).exited() == .code(74) else { throw error }
                }
                let errors = try cluster.child(0).errors
                let ended = errors.contains("What is on disk is unknown now")
                #expect(ended || errors.contains("Read-only file system"), "\(errors)")
                try await cluster.kill(0)
                // A start on it waits.
                try cluster.start(0)
                try await eventually("it says what it waits for", within: .seconds(20)) {
                    try cluster.child(0).errors.contains("this node starts when there is some")
                }
                #expect(try cluster.child(0).status == nil)
                try await cluster.kill(0)
                try disk.mend()
                try cluster.start(0)
                do {
                    try await cluster.ready([0])
                } catch {
                    // What a file system lost that was broken in the middle of a sync the others notice: then the next
                    // start begins blank.
                    guard ended, try await cluster.child(0).exited() == .code(65) else { throw error }
                    try cluster.start(0)
                    try await cluster.ready([0])
                }
            }
            #expect(load.errors == [])
            #expect(load.orderFaults == [])
            let again = try await cluster.live(bob, "phone", at: 0)
            #expect(Deliveries(sessions: [phone, again]).faults(accepted: load.accepted) == [])
            let fresh = try await cluster.live(bob, "new", at: 0)
            #expect(Deliveries(sessions: [fresh]).faults(accepted: load.accepted) == [])
            // Only a sync that failed leaves a reason to set it aside.
            let isUnknown = try cluster.child(0).errors.contains("What is on disk is unknown now")
            let names = try FileManager.default.contentsOfDirectory(atPath: data)
            #expect(isUnknown || !names.contains { $0.hasPrefix("damaged-") }, "\(names)")
        }

        @Test("A start on a read-only disk waits, and goes on when it can write", .timeLimit(.minutes(6)))
        func readOnlyStart() async throws {
            let cluster = try ProcessCluster()
            let data = cluster.directory + "/data/node-1"
            try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
            guard mount("none", data, "tmpfs", 0, "size=32m") == 0 else {
                cluster.remove()
                print("skipped: no file system of its own can be mounted here")
                return
            }
            defer {
                cluster.remove()
                umount2(data, Int32(MNT_DETACH))
            }
            try await cluster.startAll()
            #expect(try await cluster.terminate(0) == .code(0))
            #expect(mount("none", data, "tmpfs", UInt(MS_REMOUNT | MS_RDONLY), "") == 0)
            try cluster.start(0)
            try await eventually("it says what it waits for", within: .seconds(20)) {
                try cluster.child(0).errors.contains("this node starts when there is some")
            }
            #expect(try cluster.child(0).errors.contains("Read-only file system"))
            #expect(mount("none", data, "tmpfs", UInt(MS_REMOUNT), "") == 0)
            try await cluster.ready([0])
        }

        @Test("A flipped bit in a message is found and mended", .timeLimit(.minutes(6)))
        func flippedBit() async throws {
            try await ProcessCluster.run { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                let talk = try await cluster.conversation("group", alice, with: [bob], name: "talk")
                let desk = try await cluster.live(alice, "desk", at: 0)
                for number in 0..<5 {
                    #expect(try await desk.say("needle-\(number)-haystack", to: talk)["op"].string == "accepted")
                }
                // A drained stop moves everything to the main file.
                #expect(try await cluster.terminate(2) == .code(0))
                let file = URL(fileURLWithPath: cluster.directory + "/data/node-3/roost.db")
                var bytes = try Data(contentsOf: file)
                let place = try bytes.range(of: Data("needle-2-haystack".utf8)).orThrow("the message is not there")
                bytes[place.lowerBound] ^= 1
                try bytes.write(to: file)
                try cluster.start(2)
                try await cluster.ready([2])
                try await eventually("it is mended", within: .seconds(30)) {
                    let storage = try await self.storage(cluster, 2)
                    return storage["repaired_rows"].int == 1 && storage["damaged_rows"].int == 1
                }
                let metrics = String(decoding: try await cluster.admin(2, "/metrics").body, as: UTF8.self)
                #expect(metrics.contains("roost_storage_damaged_rows_total 1"))
                #expect(metrics.contains("roost_storage_repaired_rows_total 1"))
                #expect(try cluster.child(2).errors.contains("the row's checksum does not match"))
                try await eventually("every row was checked", within: .seconds(30)) {
                    try await self.storage(cluster, 2)["scrub"]["last_pass_at"].string != nil
                }
            }
        }

        /// False where that can't be done here.
        private func limitFiles(of child: ChildProcess, to bytes: UInt, _ cluster: ProcessCluster) async throws -> Bool
        {
            let limit = try? ChildProcess(
                "prlimit", ["--pid=\(child.pid)", "--fsize=\(bytes)"], log: cluster.directory + "/prlimit")
            if try await limit?.exited() == .code(0) { return true }
            print("skipped: no prlimit that may set a limit here")
            return false
        }

        @Test("A disk that fails while the node drains ends it with its line", .timeLimit(.minutes(6)))
        func failingDrain() async throws {
            try await ProcessCluster.run { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                let talk = try await cluster.conversation("group", alice, with: [bob], name: "talk")
                let load = Load(cluster, alice, "desk", to: [talk])
                try await load.run(at: 0, every: .milliseconds(5)) {
                    try await eventually("some are accepted") { load.accepted.count >= 30 }
                    let child = try cluster.child(2)
                    child.kill(SIGSTOP)
                    try await eventually("it stands still") { child.standsStill }
                    guard try await limitFiles(of: child, to: 65_536, cluster) else { return }
                    child.kill(SIGTERM)
                    child.kill(SIGCONT)
                    #expect(try await child.exited() == .code(74))
                    #expect(
                        child.errorLines.last?.hasPrefix("roost: writing to the database: ") == true, "\(child.errors)")
                }
            }
        }

        @Test(
            "Writes go well and the database can't take them up: the process ends, and has all of them",
            .timeLimit(.minutes(6)))
        func failingCheckpoint() async throws {
            try await ProcessCluster.run(nodes: 1) { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 0)
                let talk = try await cluster.conversation("group", alice, with: [bob], name: "talk")
                let desk = try await cluster.live(alice, "desk", at: 0)
                let child = try cluster.child(0)
                // Of a file: the write-ahead log stays below, the database comes to it.
                let bytes: UInt = 32 << 20
                guard try await limitFiles(of: child, to: bytes, cluster) else { return }
                let content = String(repeating: "x", count: 60_000)
                var accepted = 0
                while child.status == nil, accepted < 2_000 {
                    guard (try? await desk.say(content, to: talk)["op"].string) == "accepted" else { break }
                    accepted += 1
                }
                #expect(try await child.exited() == .code(74))
                #expect(child.errorLines.contains { $0.hasPrefix("roost: ") && $0.contains("roost.db") })
                let data = "\(cluster.directory)/data/node-1"
                let log = try FileManager.default.attributesOfItem(atPath: data + "/roost.db-wal")[.size] as? UInt
                #expect(log.map { $0 < bytes - 1 << 20 } == true)

                try cluster.start(0)
                try await cluster.ready()
                let page = try await cluster.api(
                    0, "GET", "conversations/\(talk)/messages?size=1", token: alice.token)
                let last = page.json.array.first?["seq"].int ?? 0
                #expect(accepted > 200 && last >= accepted)
            }
        }

        @Test("A database that is none any more is set aside; the others serve", .timeLimit(.minutes(6)))
        func brokenDatabase() async throws {
            try await ProcessCluster.run { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                let talk = try await cluster.conversation("group", alice, with: [bob], name: "talk")
                try await cluster.kill(2)
                let data = cluster.directory + "/data/node-3"
                let file = URL(fileURLWithPath: data + "/roost.db")
                let former = try Data(contentsOf: file).count
                try Data(repeating: 0x5a, count: former).write(to: file)
                try? FileManager.default.removeItem(atPath: data + "/roost.db-wal")
                try cluster.start(2)
                try await eventually("it lives") { (try? await cluster.admin(2, "/livez"))?.status == 200 }
                let asides = try FileManager.default.contentsOfDirectory(atPath: data).filter {
                    $0.hasPrefix("damaged-")
                }
                #expect(asides.count == 1)
                let kept = try Data(contentsOf: URL(fileURLWithPath: "\(data)/\(asides.first ?? "")/roost.db"))
                #expect(kept.count == former && kept.allSatisfy { $0 == 0x5a })
                #expect(try cluster.child(2).errors.contains("the database was damaged"))
                let desk = try await cluster.live(alice, "desk", at: 0)
                #expect(try await desk.say("on we go", to: talk)["op"].string == "accepted")
            }
        }
    }
}
