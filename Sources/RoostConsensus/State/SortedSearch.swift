extension Array {
    /// The first position whose element does not come before what is looked for; the array is sorted by `precedes`.
    @inline(__always)
    func lowerBound(where precedes: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if precedes(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
