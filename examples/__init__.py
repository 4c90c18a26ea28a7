"""Programs that use Starling as a user does. (A package, since libp2p's wheel brings another of this name.)"""
