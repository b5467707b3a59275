// What a customer's phone shows: /p/… sends a photo, /t/… takes the result home.

import(location.pathname.startsWith("/t/") ? "./take-home.js" : "./phone.js");
