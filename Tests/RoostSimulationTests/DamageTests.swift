import RoostConsensus
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import RoostStorage
import Testing

/// Damage to one node's disk heals by itself, is counted, and loses nobody's message.
@Suite struct DamageTests {
    private func make(seed: UInt64, scrubbing: Bool) throws -> World {
        try World(seed: seed) { configuration in
            configuration.durability.scrubDays = scrubbing ? 1 : 0
            configuration.durability.scrubMinRowsPerSecond = 1_000
        }
    }

    private func storage(_ world: World, _ node: NodeID) -> NodeView.Storage? {
        world.cluster.onNode(node) { $0.storageView }
    }

    private func send(_ world: World, _ device: SimulationDevice, _ id: ConversationID, _ count: Int) {
        for n in 0..<count {
            device.send(to: id, "\(n)")
            world.run(20)
        }
    }

    /// Nobody asks for these rows: only the scrub meets them.
    @Test(arguments: World.seeds(2))
    func theScrubFindsAndMendsFlippedBits(seed: UInt64) throws {
        let world = try make(seed: seed, scrubbing: true)
        let group = try world.conversation(.group, "anna", "bert")
        let anna = try world.device("anna", "phone", at: world.node(1))
        try world.device("bert", "phone", at: world.node(2))
        send(world, anna, group, 30)
        world.run(2_000)
        let partition = world.cluster.partition(of: group)
        let victim = world.node(3)
        let disk = try #require(world.cluster.running[victim]?.storage)
        let before = try disk.database.entries(partition: partition, from: 1, through: .max, maxBytes: .max)
        try #require(before.count > 20)
        for index in [3, 9, 15] as [UInt64] { #expect(disk.flipBit(partition, index)) }
        let healed = world.run(30_000) { storage(world, victim)?.repairedRows == 3 }
        #expect(healed, "seed \(seed): \(String(describing: storage(world, victim)))")
        let view = try #require(storage(world, victim))
        #expect(view.damagedRows == 3 && view.waitingRows == 0)
        let after = try disk.database.entries(partition: partition, from: 1, through: .max, maxBytes: .max)
        #expect(Array(after.prefix(before.count)) == before)
        #expect(world.run(60_000) { storage(world, victim)?.lastScrubAt != nil })
        world.expectWhole()
    }

    /// A session that opens reads from its own node's replica: the row is not skipped and not lost, but late.
    @Test(arguments: World.seeds(2))
    func aReaderOfADamagedRowWaitsUntilItIsMended(seed: UInt64) throws {
        let world = try make(seed: seed, scrubbing: true)
        let group = try world.conversation(.group, "anna", "bert")
        let anna = try world.device("anna", "phone", at: world.node(1))
        send(world, anna, group, 12)
        world.run(1_000)
        let partition = world.cluster.partition(of: group)
        for node in [world.node(2), world.node(3)] {
            let disk = try #require(world.cluster.running[node]?.storage)
            let last = try disk.database.loadPartition(partition).lastIndex
            for index in stride(from: UInt64(node == world.node(2) ? 2 : 3), through: last - 1, by: 2) {
                disk.flipBit(partition, index)
            }
        }
        let bert = try world.device("bert", "phone", at: world.node(2))
        #expect(bert.isCaughtUp)
        let view = try #require(storage(world, world.node(2)))
        #expect(view.damagedRows > 0)
        let healed = world.run(60_000) {
            [2, 3].allSatisfy { number in
                let view = storage(world, world.node(number))
                return view?.lastScrubAt != nil && view?.waitingRows == 0 && view?.repairedRows == view?.damagedRows
            }
        }
        #expect(healed, "seed \(seed)")
        world.expectWhole()
    }

    /// Rows that Raft must have before it starts come from others first.
    @Test(arguments: World.seeds(2))
    func rowsOfUnknownTermAreFetchedBeforeTheGroupStarts(seed: UInt64) throws {
        let world = try make(seed: seed, scrubbing: false)
        let group = try world.conversation(.group, "anna", "bert")
        let anna = try world.device("anna", "phone", at: world.node(1))
        send(world, anna, group, 10)
        // An entry of cursors may wait 5 s for a sync, and so may their rows.
        world.run(15_000)
        let partition = world.cluster.partition(of: group)
        let victim = world.node(3)
        let disk = try #require(world.cluster.running[victim]?.storage)
        let last = try disk.database.loadPartition(partition).lastIndex
        world.cluster.kill(victim)
        #expect(disk.flipBit(partition, last) && disk.flipBit(partition, 1))
        // The survey ends where a term is not known: the rest is met when that is mended.
        #expect(try disk.database.loadPartition(partition).missing.map(\.index) == [1])
        send(world, anna, group, 5)
        try world.cluster.start(victim)
        #expect(world.run(20_000) { storage(world, victim)?.repairedRows == 2 }, "seed \(seed)")
        #expect(world.run(20_000) { world.cluster.isServing })
        world.expectWhole()
    }

    @Test(arguments: ["members", "cursors", "messages", "message_ids", "applied", "conversations"])
    func damagedTablesAreMadeAnewFromTheLog(table: String) throws {
        let world = try make(seed: 5, scrubbing: true)
        let group = try world.conversation(.group, "anna", "bert")
        let anna = try world.device("anna", "phone", at: world.node(1))
        try world.device("bert", "phone", at: world.node(2))
        send(world, anna, group, 20)
        // An entry of cursors may wait 5 s for a sync, and so may their rows.
        world.run(15_000)
        let partition = world.cluster.partition(of: group)
        let victim = try #require(world.cluster.leader(of: partition))
        let disk = try #require(world.cluster.running[victim]?.storage)
        #expect(disk.damageState(partition, table: table))
        #expect(world.run(60_000) { storage(world, victim)?.statesRebuilt == 1 }, "\(table)")
        send(world, anna, group, 5)
        world.expectWhole()
        #expect(try disk.database.loadPartition(partition).stateDamage == nil)
    }

    /// However short it took to make its tables anew, it leads again, and leadership rests.
    @Test(arguments: World.seeds(3)) func aReplicaMadeAnewLeadsAgain(seed: UInt64) throws {
        let world = try make(seed: seed, scrubbing: true)
        let group = try world.conversation(.group, "anna", "bert")
        let anna = try world.device("anna", "phone", at: world.node(1))
        send(world, anna, group, 5)
        world.run(15_000)
        let partition = world.cluster.partition(of: group)
        let victim = try #require(world.cluster.leader(of: partition))
        let disk = try #require(world.cluster.running[victim]?.storage)
        #expect(disk.damageState(partition, table: "members"))
        #expect(world.run(60_000) { storage(world, victim)?.statesRebuilt == 1 }, "seed \(seed)")
        #expect(world.run(20_000) { world.cluster.leader(of: partition) == victim }, "seed \(seed)")
        let view = world.cluster.onNode(victim) { $0.raftView(of: partition, at: 1)?.term }
        world.run(15_000)
        #expect(world.cluster.leader(of: partition) == victim, "seed \(seed)")
        #expect(world.cluster.onNode(victim) { $0.raftView(of: partition, at: 1)?.term } == view, "seed \(seed)")
    }

    /// A message is sent once more, and the row by which it would be known is damaged: nothing is decided without it, and
    /// no process ends.
    @Test(arguments: ["messages", "message_ids"], [false, true])
    func aLookupMeetsADamagedRow(table: String, atTheLeader: Bool) throws {
        let world = try make(seed: 6, scrubbing: false)
        let group = try world.conversation(.group, "anna", "bert")
        let anna = try world.device("anna", "phone", at: world.node(1))
        try world.device("bert", "phone", at: world.node(2))
        send(world, anna, group, 20)
        world.run(15_000)
        #expect(anna.outbox.isEmpty)
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        let others = world.cluster.nodeIDs.filter { $0 != leader }
        let victim = atTheLeader ? leader : others[0]
        let disk = try #require(world.cluster.running[victim]?.storage)
        #expect(disk.damageState(world.cluster.partition(of: group), table: table))
        let first = try #require(anna.sent.first)
        anna.repeatSend(first.send, answered: try #require(anna.accepted[first.id]))
        send(world, anna, group, 5)
        #expect(world.run(20_000) { storage(world, victim)?.statesRebuilt == 1 }, "\(table)")
        send(world, anna, group, 5)
        #expect(world.run(20_000) { anna.outbox.isEmpty })
        anna.repeatSend(first.send, answered: try #require(anna.accepted[first.id]))
        world.expectWhole()
        #expect(world.cluster.failures.isEmpty && world.cluster.running[victim]?.failure == nil)
        #expect(try disk.database.loadPartition(world.cluster.partition(of: group)).stateDamage == nil)
    }

    /// A row is damaged in the end of a log that the others gave up: what stands before it is not theirs either, and where
    /// they have not come that far, nobody has the row.
    @Test(arguments: World.seeds(4), [false, true])
    func aDamagedRowInWhatWasGivenUp(seed: UInt64, goesOn: Bool) throws {
        let world = try make(seed: seed, scrubbing: false)
        let group = try world.conversation(.group, "anna", "bert")
        world.run(8_000)
        let partition = world.cluster.partition(of: group)
        let leader = try #require(world.cluster.leader(of: partition))
        let others = world.cluster.nodeIDs.filter { $0 != leader }
        let anna = try world.device("anna", "phone", at: leader)
        let bert = try world.device("bert", "phone", at: others[0])
        send(world, anna, group, 3)
        for other in others { world.cluster.network.stall(leader, other) }
        for number in 0..<12 {
            anna.send(to: group, "alone \(number)")
            world.run(5)
        }
        world.run(100)
        // What it sent alone is not sent again before the others have gone on.
        anna.reconnects = false
        world.cluster.kill(leader)
        for other in others { world.cluster.network.heal(leader, other) }
        let disk = try #require(world.cluster.disk(of: leader))
        let last = try disk.loadPartition(partition).lastIndex
        #expect(try disk.flipBit(partition: partition, index: last - 4))
        #expect(
            world.run(20_000) { world.cluster.leader(of: partition).map { $0 != leader } ?? false }, "seed \(seed)")
        if goesOn {
            send(world, bert, group, 40)
            #expect(world.run(20_000) { bert.outbox.isEmpty }, "seed \(seed)")
            // A leader that has never heard how far the log there goes.
            let next = try #require(world.cluster.leader(of: partition))
            world.cluster.kill(next)
            try world.cluster.start(next)
            #expect(world.run(20_000) { world.cluster.leader(of: partition) != nil }, "seed \(seed)")
        }
        try world.cluster.start(leader)
        #expect(world.run(60_000) { world.isFilled }, "seed \(seed): it waits")
        anna.reconnects = true
        anna.connect(to: others[1])
        world.expectWhole()
        let runs = try [leader, others[0]].map { node in
            try #require(world.cluster.disk(of: node)).loadPartition(partition).termRuns.map { "\($0)" }
        }
        #expect(runs[0] == runs[1], "seed \(seed)")
    }

    /// Sends go on at the others; the full node serves its sessions, and is back by itself.
    @Test(arguments: World.seeds(3))
    func aFullDiskForAWhile(seed: UInt64) throws {
        let world = try make(seed: seed, scrubbing: false)
        let group = try world.conversation(.group, "anna", "bert")
        let anna = try world.device("anna", "phone", at: world.node(1))
        let bert = try world.device("bert", "phone", at: world.node(2))
        send(world, anna, group, 5)
        let victim = world.node(Int(seed) % 3 + 1)
        world.cluster.changeDisk(victim) { $0.isFull = true }
        // Something must want to be written before it is noticed.
        send(world, anna, group, 20)
        send(world, bert, group, 20)
        #expect(world.run(10_000) { storage(world, victim)?.isFull == true })
        #expect(
            world.run(20_000) {
                (0..<4).allSatisfy { world.cluster.leader(of: PartitionID($0)).map { $0 != victim } ?? false }
            }, "seed \(seed): it leads on")
        #expect(world.run(20_000) { anna.outbox.isEmpty && bert.outbox.isEmpty }, "seed \(seed)")
        // It does not get leaderships back that it could not use.
        world.run(6_000)
        for id in 0..<4 as Range<UInt16> { #expect(world.cluster.leader(of: PartitionID(id)) != victim) }
        world.cluster.changeDisk(victim) { $0.isFull = false }
        #expect(world.run(10_000) { storage(world, victim)?.isFull == false })
        send(world, anna, group, 5)
        world.expectWhole()
    }

    /// What a read waits for is not written any more: it turns to another replica.
    @Test(arguments: World.seeds(6)) func readsThatWaitedWhenTheDiskGotFull(seed: UInt64) throws {
        let world = try World(seed: seed) { $0.limits.window = 4 }
        let group = try world.conversation(.group, "anna", "bert")
        world.run(5_000)
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        let victim = try #require(world.cluster.nodeIDs.first { $0 != leader })
        let anna = try world.device("anna", "phone", at: leader)
        // They fall behind all the time, and read what they left out.
        let readers = try (1...4).map { try world.device("bert", "reader-\($0)", at: victim) }
        func sending(_ count: Int) {
            for number in 0..<count {
                anna.send(to: group, "\(number)")
                world.run(1)
            }
        }
        world.cluster.changeDisk(victim) { $0.commit = 20_000_000...30_000_000 }
        sending(300)
        world.cluster.changeDisk(victim) { $0.isFull = true }
        sending(100)
        let done = world.run(8_000) { readers.allSatisfy { $0.received[group]?.count == 400 } }
        #expect(done, "seed \(seed): \(readers.map(\.summary))")
        #expect(storage(world, victim)?.isFull == true)
        world.cluster.changeDisk(victim) { $0.isFull = false }
        world.expectWhole()
    }

    /// Nobody can take over: the leaders stay, refuse, and serve reads.
    @Test func allDisksFull() throws {
        let world = try make(seed: 7, scrubbing: false)
        let group = try world.conversation(.group, "anna", "bert")
        let anna = try world.device("anna", "phone", at: world.node(1))
        send(world, anna, group, 5)
        world.run(4_000)
        for id in world.cluster.nodeIDs { world.cluster.changeDisk(id) { $0.isFull = true } }
        send(world, anna, group, 3)
        world.run(3_000)
        let user = try world.user("anna")
        let answer = world.read(
            .history(conversation: group, user: user, before: nil, after: 0, skip: 0, limit: 50), at: world.node(2))
        guard case .messages(let messages)? = answer else {
            Issue.record("\(String(describing: answer))")
            return
        }
        #expect(messages.count == 5)
        for id in world.cluster.nodeIDs { world.cluster.changeDisk(id) { $0.isFull = false } }
        world.expectWhole()
    }

    /// The node ends, and comes back with a blank database that founds nothing.
    @Test func aCorruptDatabaseIsCondemned() throws {
        let world = try make(seed: 8, scrubbing: false)
        let group = try world.conversation(.group, "anna", "bert")
        let anna = try world.device("anna", "phone", at: world.node(1))
        let victim = world.node(3)
        let former = try #require(world.cluster.running[victim]?.storage.database.loadFacts()?.store)
        world.cluster.running[victim]?.storage.corrupt()
        send(world, anna, group, 5)
        #expect(world.run(5_000) { world.cluster.condemned[victim] != nil })
        world.cluster.kill(victim)
        try world.cluster.start(victim)
        let facts = try #require(try world.cluster.running[victim]?.storage.database.loadFacts())
        #expect(facts.store != former && facts.joinsOnly && facts.founded == nil)
        send(world, anna, group, 5)
        #expect(world.run(20_000) { anna.outbox.isEmpty })
    }

    /// An old copy of a disk is put back: the leader remembers, and the store ends itself.
    @Test func aStoreThatWentBackInTimeIsCondemned() throws {
        let world = try make(seed: 9, scrubbing: false)
        let group = try world.conversation(.group, "anna", "bert")
        let anna = try world.device("anna", "phone", at: world.node(1))
        send(world, anna, group, 5)
        world.run(1_000)
        let partition = world.cluster.partition(of: group)
        let leader = try #require(world.cluster.leader(of: partition))
        let victim = try #require(world.cluster.nodeIDs.first { $0 != leader })
        let disk = try #require(world.cluster.running[victim]?.storage)
        let last = try disk.database.loadPartition(partition).lastIndex
        send(world, anna, group, 10)
        world.run(1_000)
        world.cluster.kill(victim)
        try disk.database.commit([PartitionWrite(partition: partition, truncateFrom: last + 1, appliedIndex: last)])
        try world.cluster.start(victim)
        #expect(world.run(10_000) { world.cluster.condemned[victim] != nil })
        #expect(world.cluster.condemned[victim]?.contains("entries that it had confirmed") == true)
    }
}
