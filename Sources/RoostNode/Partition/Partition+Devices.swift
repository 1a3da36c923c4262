import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol

/// Giving up devices that have not been seen for `device_expiry_seconds`. The log knows of a device when it first
/// appears, again when it connects after `sightingInterval`, and about as often while it stays connected.
extension Partition {
    /// Microseconds for which a sighting in the log is good enough.
    var sightingInterval: Int64 { min(86_400_000_000, context.configuration.limits.deviceExpiry / 4) }

    /// Devices in one entry.
    private static let devicesAnEntry = 256

    /// The leader, now and then.
    func sweepDevices() {
        guard isLeader else { return }
        let now = clusterTime
        // Without another clock to compare with, nobody is given up.
        let expiry = removalTime.map { $0 - context.configuration.limits.deviceExpiry }
        var seen: [DeviceSighting] = []
        var expired: [DeviceSighting] = []
        for sighting in state.devices(unseenSince: now - sightingInterval) {
            if node.onCore({ $0.isOnline(sighting.user, sighting.device) }) {
                seen.append(sighting)
            } else if let expiry, sighting.seenAt < expiry {
                expired.append(sighting)
            }
            if seen.count + expired.count >= Self.devicesAnEntry { break }
        }
        let partition = id
        node.onCore { [seen, expired] node in
            if !seen.isEmpty { node.proposeQuietly(.seeDevices(seen), partition: partition) }
            if !expired.isEmpty { node.proposeQuietly(.forgetDevices(expired), partition: partition) }
        }
    }

    /// Their cursors go too, in every partition. Should this get lost, a few rows are left over that nobody reads.
    func dropCursors(of devices: [DeviceSighting]) {
        node.onCore { node in
            for index in 0..<node.partitionCount {
                node.proposeQuietly(.dropCursors(devices), partition: PartitionID(UInt16(index)))
            }
        }
    }
}

extension Node {
    func isOnline(_ user: UserID, _ device: DeviceID) -> Bool {
        presence.sessions(of: user).contains { $0.entry.device == device }
    }

    /// One partition after the other, so that none of it is long; all of them within a minute, or a tenth of the expiry.
    func sweepDevices(tick: UInt64) {
        let period = max(10, min(600, UInt64(configuration.limits.deviceExpirySeconds)))
        for (place, partition) in sortedPartitions.enumerated() where UInt64(place) % period == tick % period {
            partition.onCore { $0.sweepDevices() }
        }
    }
}
